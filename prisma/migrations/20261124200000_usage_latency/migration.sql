-- AlterTable
ALTER TABLE "usage_record"
  ADD COLUMN "timed_requests" BIGINT NOT NULL DEFAULT 0,
  ADD COLUMN "first_token_ms" BIGINT NOT NULL DEFAULT 0,
  ADD COLUMN "generation_ms" BIGINT NOT NULL DEFAULT 0,
  ADD COLUMN "token_gaps" BIGINT NOT NULL DEFAULT 0;

ALTER TABLE "usage_record"
  ADD CONSTRAINT "usage_record_latency_check" CHECK (
    "timed_requests" >= 0 AND "first_token_ms" >= 0 AND "generation_ms" >= 0 AND "token_gaps" >= 0
  );

-- Usage is counted by calls from now on, each by how far it has come, and the stream's position is
-- kept here. What was counted before stays in "usage_record".
DROP TABLE "counted_usage";

-- CreateTable
CREATE TABLE "usage_mark" (
    "request_id" TEXT NOT NULL,
    "completion_tokens" INTEGER NOT NULL,
    "final" BOOLEAN NOT NULL,
    "marked_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "usage_mark_pkey" PRIMARY KEY ("request_id")
);

-- CreateTable
CREATE TABLE "stream_position" (
    "stream" TEXT NOT NULL,
    "created" TEXT NOT NULL,
    "seq" BIGINT NOT NULL,
    "reached_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "stream_position_pkey" PRIMARY KEY ("stream")
);

-- CreateIndex
CREATE INDEX "usage_mark_marked_at_idx" ON "usage_mark"("marked_at");

ALTER TABLE "usage_mark"
  ADD CONSTRAINT "usage_mark_completion_tokens_check" CHECK ("completion_tokens" >= 0);

ALTER TABLE "stream_position"
  ADD CONSTRAINT "stream_position_seq_check" CHECK ("seq" >= 0);

-- Lists are searched by a part of a name.
CREATE EXTENSION IF NOT EXISTS "pg_trgm";

-- CreateEnum
CREATE TYPE "node_scheduling" AS ENUM ('OPEN', 'CORDONED', 'DRAINED');

-- DropIndex
DROP INDEX "adapter_base_model_name_idx";

-- DropIndex
DROP INDEX "api_key_tenant_id_idx";

-- DropIndex
DROP INDEX "nats_credential_tenant_id_idx";

-- AlterTable
ALTER TABLE "adapter" ADD COLUMN     "recent_generated_tokens" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN     "recent_prompt_tokens" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN     "recent_requests" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN     "recent_tokens" BIGINT NOT NULL DEFAULT 0;

-- AlterTable
ALTER TABLE "api_key" ADD COLUMN     "created_by" TEXT,
ADD COLUMN     "last_used_at" TIMESTAMPTZ(3);

-- AlterTable
ALTER TABLE "gpu_node" ADD COLUMN     "scheduling" "node_scheduling" NOT NULL DEFAULT 'OPEN';

-- AlterTable
ALTER TABLE "nats_credential" ADD COLUMN     "revoked_at" TIMESTAMPTZ(3);

-- AlterTable
ALTER TABLE "pool" ADD COLUMN     "inter_token_target_ms" DOUBLE PRECISION,
ADD COLUMN     "max_batch_size" INTEGER,
ADD COLUMN     "max_nodes" INTEGER;

-- AlterTable
ALTER TABLE "tenant" ADD COLUMN     "recent_generated_tokens" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN     "recent_prompt_tokens" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN     "recent_requests" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN     "recent_tokens" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN     "suspended_reason" TEXT;

-- CreateTable
CREATE TABLE "node_join_token" (
    "id" UUID NOT NULL,
    "prefix" TEXT NOT NULL,
    "hash" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "pool_name" TEXT NOT NULL,
    "max_uses" INTEGER NOT NULL,
    "uses" INTEGER NOT NULL DEFAULT 0,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "revoked_at" TIMESTAMPTZ(3),

    CONSTRAINT "node_join_token_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "node_credential" (
    "id" UUID NOT NULL,
    "node_id" TEXT NOT NULL,
    "join_token_id" UUID NOT NULL,
    "public_key" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "revoked_at" TIMESTAMPTZ(3),

    CONSTRAINT "node_credential_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "node_join_token_prefix_key" ON "node_join_token"("prefix");

-- CreateIndex
CREATE INDEX "node_join_token_pool_name_idx" ON "node_join_token"("pool_name");

-- CreateIndex
CREATE UNIQUE INDEX "node_credential_public_key_key" ON "node_credential"("public_key");

-- CreateIndex
CREATE INDEX "node_credential_node_id_idx" ON "node_credential"("node_id");

-- CreateIndex
CREATE INDEX "node_credential_join_token_id_idx" ON "node_credential"("join_token_id");

-- CreateIndex
CREATE INDEX "node_credential_revoked_at_idx" ON "node_credential"("revoked_at");

-- CreateIndex
CREATE INDEX "adapter_name_id_idx" ON "adapter"("name", "id");

-- CreateIndex
CREATE INDEX "adapter_recent_tokens_id_idx" ON "adapter"("recent_tokens", "id");

-- CreateIndex
CREATE INDEX "adapter_tenant_id_recent_tokens_id_idx" ON "adapter"("tenant_id", "recent_tokens", "id");

-- CreateIndex
CREATE INDEX "adapter_base_model_name_id_idx" ON "adapter"("base_model_name", "id");

-- CreateIndex
CREATE INDEX "adapter_name_search_idx" ON "adapter" USING GIN ("name" gin_trgm_ops);

-- CreateIndex
CREATE INDEX "api_key_tenant_id_id_idx" ON "api_key"("tenant_id", "id");

-- CreateIndex
CREATE INDEX "api_key_tenant_id_name_id_idx" ON "api_key"("tenant_id", "name", "id");

-- CreateIndex
CREATE INDEX "api_key_name_id_idx" ON "api_key"("name", "id");

-- CreateIndex
CREATE INDEX "audit_event_action_id_idx" ON "audit_event"("action", "id");

-- CreateIndex
CREATE INDEX "audit_event_actor_id_idx" ON "audit_event"("actor", "id");

-- CreateIndex
CREATE INDEX "audit_event_outcome_id_idx" ON "audit_event"("outcome", "id");

-- CreateIndex
CREATE INDEX "audit_event_created_at_idx" ON "audit_event"("created_at");

-- CreateIndex
CREATE INDEX "nats_credential_tenant_id_id_idx" ON "nats_credential"("tenant_id", "id");

-- CreateIndex
CREATE INDEX "nats_credential_revoked_at_idx" ON "nats_credential"("revoked_at");

-- CreateIndex
CREATE INDEX "tenant_name_id_idx" ON "tenant"("name", "id");

-- CreateIndex
CREATE INDEX "tenant_recent_tokens_id_idx" ON "tenant"("recent_tokens", "id");

-- CreateIndex
CREATE INDEX "tenant_slug_search_idx" ON "tenant" USING GIN ("slug" gin_trgm_ops);

-- CreateIndex
CREATE INDEX "tenant_name_search_idx" ON "tenant" USING GIN ("name" gin_trgm_ops);

-- CreateIndex
CREATE INDEX "usage_record_hour_tenant_id_adapter_digest_idx" ON "usage_record"("hour", "tenant_id", "adapter_digest");

-- CreateIndex
CREATE INDEX "usage_record_tenant_id_hour_adapter_digest_idx" ON "usage_record"("tenant_id", "hour", "adapter_digest");

-- AddForeignKey
ALTER TABLE "node_join_token" ADD CONSTRAINT "node_join_token_pool_name_fkey" FOREIGN KEY ("pool_name") REFERENCES "pool"("name") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "node_credential" ADD CONSTRAINT "node_credential_join_token_id_fkey" FOREIGN KEY ("join_token_id") REFERENCES "node_join_token"("id") ON DELETE RESTRICT ON UPDATE CASCADE;



-- What Prisma's schema language cannot say.
ALTER TABLE "tenant"
  ADD CONSTRAINT "tenant_name_check" CHECK (length("name") BETWEEN 1 AND 200),
  ADD CONSTRAINT "tenant_suspended_reason_check"
    CHECK ("suspended_reason" IS NULL OR ("suspended" AND length("suspended_reason") <= 500)),
  ADD CONSTRAINT "tenant_recent_check"
    CHECK ("recent_requests" >= 0 AND "recent_tokens" = "recent_prompt_tokens" + "recent_generated_tokens");

ALTER TABLE "adapter"
  ADD CONSTRAINT "adapter_name_check"
    CHECK ("name" ~ '^[a-z0-9]([a-z0-9._-]{0,94}[a-z0-9])?$' AND "name" NOT LIKE '%..%'),
  ADD CONSTRAINT "adapter_recent_check"
    CHECK ("recent_requests" >= 0 AND "recent_tokens" = "recent_prompt_tokens" + "recent_generated_tokens");

ALTER TABLE "api_key"
  ADD CONSTRAINT "api_key_prefix_check" CHECK ("prefix" ~ '^[a-z0-9]{12}$'),
  ADD CONSTRAINT "api_key_name_check" CHECK (length("name") BETWEEN 1 AND 200);

ALTER TABLE "nats_credential"
  ADD CONSTRAINT "nats_credential_name_check" CHECK (length("name") BETWEEN 1 AND 200),
  ADD CONSTRAINT "nats_credential_public_key_check" CHECK ("public_key" ~ '^U[A-Z2-7]{55}$');

ALTER TABLE "pool"
  ADD CONSTRAINT "pool_name_check" CHECK ("name" ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  ADD CONSTRAINT "pool_max_nodes_check" CHECK ("max_nodes" BETWEEN 1 AND 10000),
  ADD CONSTRAINT "pool_inter_token_target_ms_check" CHECK ("inter_token_target_ms" BETWEEN 1 AND 60000),
  ADD CONSTRAINT "pool_max_batch_size_check" CHECK ("max_batch_size" BETWEEN 1 AND 4096);

ALTER TABLE "node_join_token"
  ADD CONSTRAINT "node_join_token_prefix_check" CHECK ("prefix" ~ '^[a-z0-9]{12}$'),
  ADD CONSTRAINT "node_join_token_hash_check" CHECK ("hash" ~ '^[0-9a-f]{64}$'),
  ADD CONSTRAINT "node_join_token_name_check" CHECK (length("name") BETWEEN 1 AND 200),
  ADD CONSTRAINT "node_join_token_max_uses_check" CHECK ("max_uses" BETWEEN 1 AND 1000),
  -- Whoever spends one too many is refused here, whatever it counted before.
  ADD CONSTRAINT "node_join_token_uses_check" CHECK ("uses" BETWEEN 0 AND "max_uses");

ALTER TABLE "node_credential"
  ADD CONSTRAINT "node_credential_node_id_check" CHECK ("node_id" ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  ADD CONSTRAINT "node_credential_public_key_check" CHECK ("public_key" ~ '^U[A-Z2-7]{55}$');

-- A node has one credential at a time.
CREATE UNIQUE INDEX "node_credential_active_key" ON "node_credential"("node_id") WHERE "revoked_at" IS NULL;

ALTER TABLE "gpu_node"
  ADD CONSTRAINT "gpu_node_id_check" CHECK ("id" ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$');

ALTER TABLE "usage_record"
  ADD CONSTRAINT "usage_record_adapter_digest_check" CHECK ("adapter_digest" ~ '^([0-9a-f]{64})?$'),
  ADD CONSTRAINT "usage_record_hour_check" CHECK ("hour" = date_trunc('hour', "hour", 'UTC')),
  ADD CONSTRAINT "usage_record_counts_check"
    CHECK ("requests" >= 0 AND "prompt_tokens" >= 0 AND "generated_tokens" >= 0);

ALTER TABLE "audit_event"
  ADD CONSTRAINT "audit_event_role_check" CHECK ("role" IN ('OPERATOR', 'TENANT_ADMIN', 'TENANT_USER', 'NODE'));

-- Beside the records of the catalog: the credentials that NATS shall refuse.
ALTER TABLE "outbox_entry"
  DROP CONSTRAINT "outbox_entry_kind_check",
  ADD CONSTRAINT "outbox_entry_kind_check"
    CHECK ("kind" IN ('tenant', 'key', 'base', 'adapter', 'pool', 'node', 'revocations'));

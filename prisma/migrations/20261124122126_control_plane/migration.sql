-- CreateEnum
CREATE TYPE "scope" AS ENUM ('GENERATE', 'ADMIN');

-- CreateEnum
CREATE TYPE "node_state" AS ENUM ('STARTING', 'READY', 'DRAINING', 'FAILED', 'LOST');

-- CreateTable
CREATE TABLE "tenant" (
    "id" UUID NOT NULL,
    "slug" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "suspended" BOOLEAN NOT NULL DEFAULT false,
    "weight" DOUBLE PRECISION NOT NULL DEFAULT 1,
    "max_concurrent_requests" INTEGER,
    "max_tokens_per_minute" INTEGER,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "tenant_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "api_key" (
    "id" UUID NOT NULL,
    "tenant_id" UUID,
    "prefix" TEXT NOT NULL,
    "hash" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "scopes" "scope"[],
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3),
    "revoked_at" TIMESTAMPTZ(3),

    CONSTRAINT "api_key_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "nats_credential" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "public_key" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3),

    CONSTRAINT "nats_credential_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "base_model" (
    "name" TEXT NOT NULL,
    "architecture" TEXT NOT NULL,
    "max_context" INTEGER NOT NULL,
    "shape" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "base_model_pkey" PRIMARY KEY ("name")
);

-- CreateTable
CREATE TABLE "pool" (
    "name" TEXT NOT NULL,
    "base_model_name" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "pool_pkey" PRIMARY KEY ("name")
);

-- CreateTable
CREATE TABLE "adapter" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "base_model_name" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "adapter_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "adapter_version" (
    "id" UUID NOT NULL,
    "adapter_id" UUID NOT NULL,
    "version" INTEGER NOT NULL,
    "digest" TEXT NOT NULL,
    "rank" INTEGER NOT NULL,
    "target_modules" TEXT[],
    "num_tensors" INTEGER NOT NULL,
    "size_bytes" BIGINT NOT NULL,
    "weight" DOUBLE PRECISION NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "adapter_version_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "adapter_file" (
    "version_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "digest" TEXT NOT NULL,
    "size_bytes" BIGINT NOT NULL,

    CONSTRAINT "adapter_file_pkey" PRIMARY KEY ("version_id","name")
);

-- CreateTable
CREATE TABLE "adapter_upload" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "base_model_name" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "version_id" UUID,

    CONSTRAINT "adapter_upload_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "uploaded_file" (
    "upload_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "digest" TEXT NOT NULL,
    "size_bytes" BIGINT NOT NULL,

    CONSTRAINT "uploaded_file_pkey" PRIMARY KEY ("upload_id","name")
);

-- CreateTable
CREATE TABLE "adapter_grant" (
    "adapter_id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "adapter_grant_pkey" PRIMARY KEY ("adapter_id","tenant_id")
);

-- CreateTable
CREATE TABLE "gpu_node" (
    "id" TEXT NOT NULL,
    "pool" TEXT NOT NULL,
    "state" "node_state" NOT NULL,
    "last_seen_at" TIMESTAMPTZ(3) NOT NULL,
    "status" JSONB NOT NULL,

    CONSTRAINT "gpu_node_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "usage_record" (
    "tenant_id" UUID NOT NULL,
    "adapter_digest" TEXT NOT NULL,
    "hour" TIMESTAMPTZ(0) NOT NULL,
    "requests" BIGINT NOT NULL,
    "prompt_tokens" BIGINT NOT NULL,
    "generated_tokens" BIGINT NOT NULL,

    CONSTRAINT "usage_record_pkey" PRIMARY KEY ("tenant_id","adapter_digest","hour")
);

-- CreateTable
CREATE TABLE "counted_usage" (
    "request_id" TEXT NOT NULL,
    "from_index" INTEGER NOT NULL,
    "counted_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "counted_usage_pkey" PRIMARY KEY ("request_id","from_index")
);

-- CreateTable
CREATE TABLE "audit_event" (
    "id" UUID NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "actor" TEXT NOT NULL,
    "role" TEXT NOT NULL,
    "action" TEXT NOT NULL,
    "tenant" TEXT,
    "target" TEXT,
    "outcome" TEXT NOT NULL,

    CONSTRAINT "audit_event_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "outbox_entry" (
    "id" BIGSERIAL NOT NULL,
    "kind" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "outbox_entry_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "tenant_slug_key" ON "tenant"("slug");

-- CreateIndex
CREATE UNIQUE INDEX "api_key_prefix_key" ON "api_key"("prefix");

-- CreateIndex
CREATE INDEX "api_key_tenant_id_idx" ON "api_key"("tenant_id");

-- CreateIndex
CREATE UNIQUE INDEX "nats_credential_public_key_key" ON "nats_credential"("public_key");

-- CreateIndex
CREATE INDEX "nats_credential_tenant_id_idx" ON "nats_credential"("tenant_id");

-- CreateIndex
CREATE UNIQUE INDEX "pool_base_model_name_key" ON "pool"("base_model_name");

-- CreateIndex
CREATE INDEX "adapter_tenant_id_id_idx" ON "adapter"("tenant_id", "id");

-- CreateIndex
CREATE INDEX "adapter_base_model_name_idx" ON "adapter"("base_model_name");

-- CreateIndex
CREATE UNIQUE INDEX "adapter_tenant_id_name_key" ON "adapter"("tenant_id", "name");

-- CreateIndex
CREATE INDEX "adapter_version_digest_idx" ON "adapter_version"("digest");

-- CreateIndex
CREATE UNIQUE INDEX "adapter_version_adapter_id_version_key" ON "adapter_version"("adapter_id", "version");

-- CreateIndex
CREATE INDEX "adapter_file_digest_idx" ON "adapter_file"("digest");

-- CreateIndex
CREATE INDEX "adapter_upload_tenant_id_expires_at_idx" ON "adapter_upload"("tenant_id", "expires_at");

-- CreateIndex
CREATE INDEX "adapter_upload_expires_at_idx" ON "adapter_upload"("expires_at");

-- CreateIndex
CREATE INDEX "adapter_upload_version_id_idx" ON "adapter_upload"("version_id");

-- CreateIndex
CREATE INDEX "uploaded_file_digest_idx" ON "uploaded_file"("digest");

-- CreateIndex
CREATE INDEX "adapter_grant_tenant_id_idx" ON "adapter_grant"("tenant_id");

-- CreateIndex
CREATE INDEX "gpu_node_pool_idx" ON "gpu_node"("pool");

-- CreateIndex
CREATE INDEX "counted_usage_counted_at_idx" ON "counted_usage"("counted_at");

-- CreateIndex
CREATE INDEX "audit_event_tenant_id_idx" ON "audit_event"("tenant", "id");

-- AddForeignKey
ALTER TABLE "api_key" ADD CONSTRAINT "api_key_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenant"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "nats_credential" ADD CONSTRAINT "nats_credential_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenant"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "pool" ADD CONSTRAINT "pool_base_model_name_fkey" FOREIGN KEY ("base_model_name") REFERENCES "base_model"("name") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "adapter" ADD CONSTRAINT "adapter_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenant"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "adapter" ADD CONSTRAINT "adapter_base_model_name_fkey" FOREIGN KEY ("base_model_name") REFERENCES "base_model"("name") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "adapter_version" ADD CONSTRAINT "adapter_version_adapter_id_fkey" FOREIGN KEY ("adapter_id") REFERENCES "adapter"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "adapter_file" ADD CONSTRAINT "adapter_file_version_id_fkey" FOREIGN KEY ("version_id") REFERENCES "adapter_version"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "adapter_upload" ADD CONSTRAINT "adapter_upload_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenant"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "adapter_upload" ADD CONSTRAINT "adapter_upload_base_model_name_fkey" FOREIGN KEY ("base_model_name") REFERENCES "base_model"("name") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "adapter_upload" ADD CONSTRAINT "adapter_upload_version_id_fkey" FOREIGN KEY ("version_id") REFERENCES "adapter_version"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "uploaded_file" ADD CONSTRAINT "uploaded_file_upload_id_fkey" FOREIGN KEY ("upload_id") REFERENCES "adapter_upload"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "adapter_grant" ADD CONSTRAINT "adapter_grant_adapter_id_fkey" FOREIGN KEY ("adapter_id") REFERENCES "adapter"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "adapter_grant" ADD CONSTRAINT "adapter_grant_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenant"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "usage_record" ADD CONSTRAINT "usage_record_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenant"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- What Prisma's schema language cannot say. The application refuses such values by name first;
-- these hold whatever writes to the database.
ALTER TABLE "tenant"
  ADD CONSTRAINT "tenant_slug_check" CHECK ("slug" ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  ADD CONSTRAINT "tenant_weight_check" CHECK ("weight" > 0 AND "weight" < 'Infinity'),
  ADD CONSTRAINT "tenant_max_concurrent_requests_check" CHECK ("max_concurrent_requests" > 0),
  ADD CONSTRAINT "tenant_max_tokens_per_minute_check" CHECK ("max_tokens_per_minute" > 0);

ALTER TABLE "api_key"
  ADD CONSTRAINT "api_key_hash_check" CHECK ("hash" ~ '^[0-9a-f]{64}$'),
  -- A tenant's key says what it may do; an operator's may do everything and has no scopes.
  ADD CONSTRAINT "api_key_scopes_check" CHECK (("tenant_id" IS NULL) = (coalesce(cardinality("scopes"), 0) = 0));

ALTER TABLE "adapter_version"
  ADD CONSTRAINT "adapter_version_version_check" CHECK ("version" > 0),
  ADD CONSTRAINT "adapter_version_digest_check" CHECK ("digest" ~ '^[0-9a-f]{64}$'),
  ADD CONSTRAINT "adapter_version_rank_check" CHECK ("rank" BETWEEN 1 AND 256),
  ADD CONSTRAINT "adapter_version_weight_check" CHECK ("weight" BETWEEN 0 AND 1);

ALTER TABLE "adapter_file"
  ADD CONSTRAINT "adapter_file_digest_check" CHECK ("digest" ~ '^[0-9a-f]{64}$'),
  ADD CONSTRAINT "adapter_file_size_check" CHECK ("size_bytes" >= 0);

ALTER TABLE "uploaded_file"
  ADD CONSTRAINT "uploaded_file_digest_check" CHECK ("digest" ~ '^[0-9a-f]{64}$'),
  ADD CONSTRAINT "uploaded_file_size_check" CHECK ("size_bytes" >= 0);

ALTER TABLE "outbox_entry"
  ADD CONSTRAINT "outbox_entry_kind_check" CHECK ("kind" IN ('tenant', 'key', 'base', 'adapter'));

-- The audit log is append-only.
CREATE FUNCTION "refuse_change"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END
$$;

CREATE TRIGGER "audit_event_append_only"
  BEFORE UPDATE OR DELETE OR TRUNCATE ON "audit_event"
  FOR EACH STATEMENT EXECUTE FUNCTION "refuse_change"();

-- CreateEnum
CREATE TYPE "upload_status" AS ENUM ('PENDING', 'VALIDATING', 'READY', 'REJECTED');

-- AlterTable
ALTER TABLE "adapter" ADD COLUMN     "archived_at" TIMESTAMPTZ(3);

-- AlterTable
ALTER TABLE "adapter_upload" ADD COLUMN     "checked_until" TIMESTAMPTZ(3),
ADD COLUMN     "problem" JSONB,
ADD COLUMN     "status" "upload_status" NOT NULL DEFAULT 'PENDING';

-- AlterTable
ALTER TABLE "adapter_version" ADD COLUMN     "archived_at" TIMESTAMPTZ(3),
ADD COLUMN     "probe" JSONB;

-- CreateTable
CREATE TABLE "adapter_alias" (
    "id" UUID NOT NULL,
    "adapter_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "revision" INTEGER NOT NULL,

    CONSTRAINT "adapter_alias_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "alias_revision" (
    "alias_id" UUID NOT NULL,
    "revision" INTEGER NOT NULL,
    "origin" INTEGER NOT NULL,
    "actor" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "alias_revision_pkey" PRIMARY KEY ("alias_id","revision")
);

-- CreateTable
CREATE TABLE "alias_target" (
    "alias_id" UUID NOT NULL,
    "revision" INTEGER NOT NULL,
    "version_id" UUID NOT NULL,
    "weight" DOUBLE PRECISION NOT NULL,

    CONSTRAINT "alias_target_pkey" PRIMARY KEY ("alias_id","revision","version_id")
);

-- CreateTable
CREATE TABLE "incoming_file" (
    "upload_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "writer" UUID NOT NULL,
    "received_bytes" BIGINT NOT NULL DEFAULT 0,
    "total_bytes" BIGINT,

    CONSTRAINT "incoming_file_pkey" PRIMARY KEY ("upload_id","name")
);

-- CreateTable
CREATE TABLE "incoming_part" (
    "upload_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "offset_bytes" BIGINT NOT NULL,
    "digest" TEXT NOT NULL,
    "size_bytes" BIGINT NOT NULL,

    CONSTRAINT "incoming_part_pkey" PRIMARY KEY ("upload_id","name","offset_bytes")
);

-- CreateIndex
CREATE UNIQUE INDEX "adapter_alias_adapter_id_name_key" ON "adapter_alias"("adapter_id", "name");

-- CreateIndex
CREATE INDEX "alias_target_version_id_idx" ON "alias_target"("version_id");

-- CreateIndex
CREATE INDEX "incoming_part_digest_idx" ON "incoming_part"("digest");

-- CreateIndex
CREATE INDEX "adapter_upload_tenant_id_id_idx" ON "adapter_upload"("tenant_id", "id");

-- AddForeignKey
ALTER TABLE "adapter_alias" ADD CONSTRAINT "adapter_alias_adapter_id_fkey" FOREIGN KEY ("adapter_id") REFERENCES "adapter"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "alias_revision" ADD CONSTRAINT "alias_revision_alias_id_fkey" FOREIGN KEY ("alias_id") REFERENCES "adapter_alias"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "alias_target" ADD CONSTRAINT "alias_target_alias_id_revision_fkey" FOREIGN KEY ("alias_id", "revision") REFERENCES "alias_revision"("alias_id", "revision") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "alias_target" ADD CONSTRAINT "alias_target_version_id_fkey" FOREIGN KEY ("version_id") REFERENCES "adapter_version"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "incoming_file" ADD CONSTRAINT "incoming_file_upload_id_fkey" FOREIGN KEY ("upload_id") REFERENCES "adapter_upload"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "incoming_part" ADD CONSTRAINT "incoming_part_upload_id_name_fkey" FOREIGN KEY ("upload_id", "name") REFERENCES "incoming_file"("upload_id", "name") ON DELETE CASCADE ON UPDATE CASCADE;

-- What there is already: the weights of versions become the alias of the bare name.
UPDATE "adapter_upload" SET "status" = 'READY' WHERE "version_id" IS NOT NULL;

INSERT INTO "adapter_alias" ("id", "adapter_id", "name", "revision")
SELECT gen_random_uuid(), "adapter_id", 'default', 1
FROM "adapter_version" WHERE "weight" > 0 GROUP BY "adapter_id";

INSERT INTO "alias_revision" ("alias_id", "revision", "origin", "actor")
SELECT "id", 1, 1, 'migration' FROM "adapter_alias";

INSERT INTO "alias_target" ("alias_id", "revision", "version_id", "weight")
SELECT "alias"."id", 1, "version"."id",
  "version"."weight" / sum("version"."weight") OVER (PARTITION BY "alias"."id")
FROM "adapter_alias" AS "alias"
JOIN "adapter_version" AS "version" ON "version"."adapter_id" = "alias"."adapter_id"
WHERE "version"."weight" > 0;

ALTER TABLE "adapter_version" DROP COLUMN "weight";

-- What Prisma's schema language cannot say.
ALTER TABLE "adapter_alias"
  ADD CONSTRAINT "adapter_alias_name_check" CHECK ("name" ~ '^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$'),
  ADD CONSTRAINT "adapter_alias_revision_check" CHECK ("revision" > 0);

ALTER TABLE "alias_revision"
  ADD CONSTRAINT "alias_revision_origin_check" CHECK ("origin" BETWEEN 1 AND "revision");

ALTER TABLE "alias_target"
  ADD CONSTRAINT "alias_target_weight_check" CHECK ("weight" > 0 AND "weight" <= 1);

ALTER TABLE "adapter_upload"
  ADD CONSTRAINT "adapter_upload_ready_check" CHECK (("status" = 'READY') = ("version_id" IS NOT NULL)),
  ADD CONSTRAINT "adapter_upload_checked_until_check" CHECK (("status" = 'VALIDATING') = ("checked_until" IS NOT NULL));

ALTER TABLE "incoming_file"
  ADD CONSTRAINT "incoming_file_received_check" CHECK ("received_bytes" >= 0),
  ADD CONSTRAINT "incoming_file_total_check" CHECK ("total_bytes" >= "received_bytes");

ALTER TABLE "incoming_part"
  ADD CONSTRAINT "incoming_part_digest_check" CHECK ("digest" ~ '^[0-9a-f]{64}$'),
  ADD CONSTRAINT "incoming_part_size_check" CHECK ("size_bytes" > 0 AND "offset_bytes" >= 0);

-- CreateIndex
CREATE INDEX "api_key_name_search_idx" ON "api_key" USING GIN ("name" gin_trgm_ops);

-- CreateIndex
CREATE INDEX "api_key_prefix_search_idx" ON "api_key" USING GIN ("prefix" gin_trgm_ops);

import { defineConfig } from 'vitest/config'

export default defineConfig({
  // Vite prefers graphql's ES module, Node (and so Apollo Server) its CommonJS one; two copies in one
  // process refuse each other's types.
  resolve: { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] },
  test: {
    include: [
      'apps/**/*.test.{ts,tsx}',
      'bench/**/*.test.ts',
      'deploy/**/*.test.ts',
      'packages/**/*.test.ts',
      'e2e/**/*.test.ts',
      'scripts/**/*.test.ts',
    ],
    exclude: ['**/node_modules/**', '**/build/**', '**/dist/**'],
    // Real servers and real processes start inside these tests; two cores are the smallest machine
    // that runs them.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
})

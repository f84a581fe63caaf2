import { defineConfig } from 'vitest/config';

// One browser and one replayed cluster at a time: the tests look at a picture that moves.
export default defineConfig({
  test: {
    include: ['tests/browser/**/*.test.ts'],
    environment: 'node',
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});

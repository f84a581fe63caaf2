import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, type BuildEnvironmentOptions, type Plugin } from 'vite';

// Relative addresses, so that the page works behind any path prefix. Stable names, so that the table of embedded
// files changes only when a file is added; the server puts the build's digest before them.
const shared: BuildEnvironmentOptions = {
  target: 'es2022',
  assetsInlineLimit: 0,
  cssCodeSplit: false,
  reportCompressedSize: false,
};

/** What several parts use and the overview does not: one file, not one for each set of parts. */
const together = {
  name: 'shared',
  test: /\/src\/(components\/(AreaChart|JobChoice|LogLines|SpanChoice|StateSwatch)\.svelte|lib\/(areas|askworkers|cellpaint|cells|lives|loads|logtail\.svelte|polled\.svelte|runs|statenames|sheet|tiles|why)\.ts)/,
};

/** The page that is served: the overview at once, the others in parts. */
const served: BuildEnvironmentOptions = {
  ...shared,
  modulePreload: false,
  rolldownOptions: {
    preserveEntrySignatures: 'allow-extension',
    output: {
      entryFileNames: 'assets/app.js',
      codeSplitting: { includeDependenciesRecursively: false, groups: [together] },
      chunkFileNames: 'assets/[name].js',
      assetFileNames: (asset) =>
        asset.names.some((name) => name.endsWith('.css')) ? 'assets/app.css' : 'assets/[name][extname]',
    },
  },
};

/** The script of reports, which are one file: all parts in one, with the styles of the page that is served. */
const reported: BuildEnvironmentOptions = {
  ...shared,
  emptyOutDir: false,
  copyPublicDir: false,
  modulePreload: false,
  rolldownOptions: {
    input: 'src/main.ts',
    output: { entryFileNames: 'assets/report.js', codeSplitting: false },
  },
};

/** Leaves out all but scripts. */
const onlyScripts: Plugin = {
  name: 'only-scripts',
  enforce: 'post',
  generateBundle: (_, bundle) => {
    for (const name of Object.keys(bundle)) if (!name.endsWith('.js')) delete bundle[name];
  },
};

export default defineConfig(({ mode }) => ({
  base: './',
  plugins: mode === 'report' ? [svelte(), onlyScripts] : [svelte()],
  build: mode === 'report' ? reported : served,
}));

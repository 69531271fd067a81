// Bundles src/*.js into ../static/vendor/*.bundle.js: modules for the browser, minified, without source maps or eval.
import { readdir } from "node:fs/promises";
import { build } from "esbuild";

const entries = (await readdir(new URL("src/", import.meta.url))).filter((name) => name.endsWith(".js"));

await build({
  entryPoints: entries.map((name) => `src/${name}`),
  outdir: "../static/vendor",
  outExtension: { ".js": ".bundle.js" },
  absWorkingDir: new URL(".", import.meta.url).pathname,
  bundle: true,
  format: "esm",
  minify: true,
  target: "es2022",
  legalComments: "none",
  logLevel: "info",
});

// Runs the unit tests: `node test.mjs`.  Bundles each into a temporary folder first, since Node reads no TypeScript.
//
// Knows: esbuild, Node's own test runner.  Does not know: the tests.
import { spawnSync } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import esbuild from 'esbuild'

const here = path.dirname(fileURLToPath(import.meta.url))
const folder = await mkdtemp(path.join(os.tmpdir(), 'dashboard-tests-'))
try {
  const tests = (await readdir(path.join(here, 'tests'))).filter(name => name.endsWith('.test.ts'))
  await esbuild.build({
    absWorkingDir: here,
    entryPoints: tests.map(name => `tests/${name}`),
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    define: { TEXTS_FOLDER: JSON.stringify(path.join(here, 'src', 'texts')) },
  })
  const files = (await readdir(folder)).map(name => path.join(folder, name))
  const { status } = spawnSync(process.execPath, ['--test', ...files], { stdio: 'inherit' })
  process.exitCode = status ?? 1
} finally {
  await rm(folder, { recursive: true, force: true })
}

// Builds the dashboard: `node build.mjs [FOLDER]`, without one into resolver/dashboard/built.
//
// Knows: esbuild, which files the server expects (see resolver/web/dashboard.py).  Does not know: what the pages show.
// Theory: every asset's name has its content's hash, so that browsers keep it for good; only the page itself is asked for
// again.  What can be compressed is compressed here, once, so that the server never does.
import { createHash } from 'node:crypto'
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import esbuild from 'esbuild'

const here = path.dirname(fileURLToPath(import.meta.url))
const target = path.resolve(process.argv[2] ?? path.join(here, '..', 'resolver', 'dashboard', 'built'))
const beside = `${target}.new-${process.pid}`
const GZIPPED_OCTETS_MAX = 200_000

const files = new Map() // name -> octets
const libraries = new Set() // Names of the packages that a bundle holds something of.

function add(stem, extension, octets) {
  const hash = createHash('sha256').update(octets).digest('hex').slice(0, 12)
  const name = `${stem}-${hash}.${extension}`
  files.set(name, Buffer.from(octets))
  return name
}

// 1. Texts: one file for each language; which there are, the program is told.
const texts = {}
for (const file of (await readdir(path.join(here, 'src', 'texts'))).sort()) {
  const code = path.basename(file, '.json')
  if (code === 'en') continue // Part of the program: what other languages fall back to.
  const compact = JSON.stringify(JSON.parse(await readFile(path.join(here, 'src', 'texts', file), 'utf8')))
  texts[code] = add(`texts-${code}`, 'json', compact)
}

// 2. The program, and what runs before the first paint.
async function bundle(entry, options = {}) {
  const result = await esbuild.build({
    absWorkingDir: here,
    entryPoints: [entry],
    bundle: true,
    minify: true,
    write: false,
    target: ['es2022', 'chrome110', 'firefox115', 'safari16.4'],
    charset: 'utf8',
    legalComments: 'none',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    define: { TEXT_FILES: JSON.stringify(texts) },
    metafile: true,
    ...options,
  })
  for (const input of Object.keys(result.metafile.inputs)) {
    const library = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)
    if (library) libraries.add(library[1])
  }
  return result.outputFiles[0].contents
}

const style = add('style', 'css', await bundle('src/style.css'))
const boot = add('boot', 'js', await bundle('src/boot.ts', { format: 'iife' }))
const program = add('program', 'js', await bundle('src/main.tsx', { format: 'esm' }))
const icon = add('icon', 'svg', await readFile(path.join(here, 'src', 'icon.svg')))

// 3. The page.
let page = await readFile(path.join(here, 'src', 'index.html'), 'utf8')
for (const [place, name] of Object.entries({ STYLE: style, BOOT: boot, PROGRAM: program, ICON: icon })) {
  page = page.replaceAll(`%${place}%`, `assets/${name}`)
}
files.set('index.html', Buffer.from(page))

// 4. What the bundle holds of others, and on which terms: for who passes the files on; it is not served.
const held = await Promise.all(
  [...libraries].sort().map(async name => {
    const folder = path.join(here, 'node_modules', name)
    const { version, license } = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8'))
    const file = (await readdir(folder)).find(one => /^(LICEN[CS]E|COPYING)/i.test(one))
    return { name, version, license, text: await readFile(path.join(folder, file), 'utf8') }
  }),
)
const licencesText = held.map(one => `${one.name} ${one.version}\n\n${one.text}`).join('\n\n')
const libraryList = held.map(({ name, version, license }) => ({ name, version, license }))

// 5. Beside the old ones, then in their place: a server that starts meanwhile finds the one or the other.
await rm(beside, { recursive: true, force: true })
await mkdir(beside, { recursive: true })
let gzipped = 0
for (const [name, octets] of files) {
  const gzip = gzipSync(octets, { level: 9 })
  const brotli = brotliCompressSync(octets, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: octets.length },
  })
  gzipped += gzip.length
  await writeFile(path.join(beside, name), octets)
  await writeFile(path.join(beside, `${name}.gz`), gzip)
  await writeFile(path.join(beside, `${name}.br`), brotli)
}
await writeFile(path.join(beside, 'licences.txt'), licencesText)
await writeFile(path.join(beside, 'libraries.json'), `${JSON.stringify(libraryList, null, 1)}\n`)
await rm(target, { recursive: true, force: true })
await rename(beside, target)
console.log(`dashboard built: ${files.size} files, ${Math.round(gzipped / 1000)} kB gzipped in all languages`)
if (gzipped > GZIPPED_OCTETS_MAX) {
  console.error(`over ${GZIPPED_OCTETS_MAX / 1000} kB gzipped`)
  process.exit(1)
}

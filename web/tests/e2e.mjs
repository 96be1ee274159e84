// Looks at every page of a running server in Chromium: `node e2e.mjs WISHES` (JSON), what was found as JSON on stdout.
//
// Knows: playwright-core, axe-core, the pages' addresses.  Does not know: what is right; tests/loopback/test_dashboard.py does.
// WISHES: {url, token, folder, chromium, pages: [[name, hash, [view, ...]], ...], hostile: [name, ...], steps: [name, ...]}
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { chromium } from 'playwright-core'

const wishes = JSON.parse(process.argv[2])
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const VIEWS = {
  'wide-light': { colorScheme: 'light', viewport: { width: 1280, height: 900 } },
  'wide-dark': { colorScheme: 'dark', viewport: { width: 1280, height: 900 } },
  'phone-light': { colorScheme: 'light', viewport: { width: 390, height: 844 } },
  'phone-dark': { colorScheme: 'dark', viewport: { width: 390, height: 844 } },
}
/** The most different ones, of what is drawn alike in all. */
const TWO_VIEWS = ['wide-light', 'phone-dark']
const found = { pages: [], trouble: [], hosts: [], steps: {}, took_ms: {}, paint_ms: null, transferred: 0 }
const host = new URL(wishes.url).host
// A busy machine must not fail a test.
const PATIENCE_MS = 90_000

/** The page opened last: of it a step that fails leaves a picture. */
let current = null
const browser = await chromium.launch({ executablePath: wishes.chromium, args: ['--no-sandbox', '--disable-gpu'] })

/** A page that notes what it must not do. */
async function open(view, { bypassCSP = false, token = '', locale = 'en-GB', ...more } = {}) {
  const context = await browser.newContext({ ...VIEWS[view], locale, timezoneId: 'Europe/Berlin', reducedMotion: 'reduce', bypassCSP, ...more })
  if (token) await context.addInitScript(secret => sessionStorage.setItem('token', secret), token)
  const page = await context.newPage()
  current = page
  page.setDefaultTimeout(PATIENCE_MS)
  page.on('dialog', dialog => {
    found.trouble.push(`a dialog of the browser: ${dialog.message()}`)
    void dialog.dismiss()
  })
  page.on('pageerror', error => found.trouble.push(`error: ${error.message}`))
  page.on('console', message => {
    // What the API refuses is told by the browser, too; the page shows it.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
      found.trouble.push(`console: ${message.text()}`)
    }
  })
  page.on('request', request => {
    const asked = new URL(request.url())
    if (asked.protocol !== 'blob:' && !found.hosts.includes(asked.host)) found.hosts.push(asked.host)
  })
  return { context, page }
}

/** Wait until nothing is waited for. */
async function settle(page) {
  await page.waitForFunction(() => document.querySelector('main') && !document.querySelector('main [aria-busy="true"]'))
}

async function look(page, view, name) {
  await settle(page)
  const sizes = await page.evaluate(() => ({
    width: document.documentElement.scrollWidth,
    inner: innerWidth,
    title: document.title,
    heading: document.querySelector('h1')?.textContent ?? '',
    failures: [...document.querySelectorAll('main .notice.bad')].map(one => one.textContent),
  }))
  await page.screenshot({ path: path.join(wishes.folder, `${name}-${view}.png`), fullPage: true })
  return sizes
}

async function judge(page) {
  // Not through a script element: the page's own policy lets none in.
  await page.evaluate(axe)
  return page.evaluate(async () => {
    const told = await window.axe.run(document, { resultTypes: ['violations'] })
    return told.violations.map(one => ({ impact: one.impact, id: one.id, nodes: one.nodes.map(node => node.html).slice(0, 5) }))
  })
}

/** Each page is opened once and looked at in every view: what is asked of the server is asked once. */
async function everyPage() {
  const { context, page } = await open('wide-light', { bypassCSP: true, token: wishes.token })
  await page.goto(wishes.url)
  for (const [name, hash, views] of wishes.pages) {
    await page.evaluate(to => { location.hash = to }, hash)
    await settle(page)
    for (const view of views) {
      const began = Date.now()
      await page.setViewportSize(VIEWS[view].viewport)
      await page.emulateMedia({ colorScheme: VIEWS[view].colorScheme })
      const sizes = await look(page, view, name)
      found.pages.push({ name, view, ...sizes, violations: await judge(page), took_ms: Date.now() - began })
    }
  }
  await context.close()
}

/** An edit that a safety rule objects to, on an exchange's page: overruled, seen, and not saved. */
async function force(page) {
  await page.click('main .head button')
  await page.waitForSelector('dialog[open]')
  await page.fill('dialog textarea', 'org')
  await page.fill('dialog input[type=text]', 'a test of ours')
  const offered = await page.locator('dialog label:has-text("safety rule")').count()
  await page.click('dialog button[type=submit]')
  await page.waitForSelector('dialog .notice.bad')
  const objection = await page.textContent('dialog .notice.bad')
  await page.check('dialog label:has-text("safety rule") input')
  await page.click('dialog button[type=submit]')
  await page.waitForSelector('dialog .preview')
  const preview = await page.textContent('dialog .preview')
  const button = await page.getAttribute('dialog button[type=submit]', 'class')
  await page.screenshot({ path: path.join(wishes.folder, 'forced.png') })
  // Something else is asked for: the rule is asked anew.
  await page.fill('dialog textarea', 'com')
  const withdrawn = await page.locator('dialog label:has-text("safety rule")').count()
  await page.keyboard.press('Escape')
  await page.waitForFunction(() => !document.querySelector('dialog'))
  return { offered, objection, preview, button, withdrawn }
}

/** Named things that a reader does, under the real policy. */
const steps = {
  /** The first page, cold: what it loads, when something is seen, that figures come by themselves. */
  async first() {
    const { context, page } = await open('wide-light')
    const sizes = new Map()
    page.on('response', response => {
      const asked = new URL(response.url())
      if (asked.pathname === '/' || asked.pathname.startsWith('/assets/')) {
        sizes.set(asked.pathname, Number(response.headers()['content-length'] ?? 0))
      }
    })
    await page.goto(wishes.url)
    await page.waitForFunction(() => /[1-9]/.test(document.querySelector('.tile .figure')?.textContent ?? ''))
    const paints = await page.evaluate(() => performance.getEntriesByType('paint').map(one => [one.name, one.startTime]))
    found.paint_ms = Object.fromEntries(paints)['first-contentful-paint'] ?? null
    found.transferred = [...sizes.values()].reduce((sum, size) => sum + size, 0)
    const link = (await page.textContent('.state')).trim()

    // The keyboard.
    await page.evaluate(() => document.activeElement?.blur?.())
    await page.keyboard.press('Tab')
    const first = await page.evaluate(() => document.activeElement.className)
    await page.keyboard.press('Enter')
    const then = await page.evaluate(() => document.activeElement.id)
    const reached = []
    await page.evaluate(() => document.querySelector('.brand').focus())
    for (let count = 0; count < 15; count += 1) {
      await page.keyboard.press('Tab')
      reached.push(await page.evaluate(() => document.activeElement.textContent.trim().slice(0, 40)))
    }

    // Light and dark.
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor)
    const light = await ground()
    await page.selectOption('.top select >> nth=1', 'dark')
    const dark = await ground()
    await page.reload()
    const kept = await ground()
    await context.close()
    return { files: sizes.size, link, keyboard: { first, then, reached }, scheme: { light, dark, kept } }
  },

  async explain() {
    const { context, page } = await open('wide-light')
    await page.goto(`${wishes.url}#/explain`)
    const box = page.locator('main input[type=search]')
    await box.pressSequentially('www.blocked.example.net', { delay: 5 })
    await page.waitForFunction(() => document.querySelector('.verdict.blocked')?.textContent.includes('www.blocked.example.net'))
    const blocked = await page.textContent('.verdict')
    await box.fill('open.example.org')
    await page.waitForFunction(() => document.querySelector('.verdict:not(.blocked)')?.textContent.includes('open.example.org'))
    const open_ = await page.textContent('.verdict')
    const spoken = await page.evaluate(() => ({
      verdicts: document.querySelectorAll('main [aria-live] .verdict').length,
      more: document.querySelectorAll('main [aria-live] :is(dl, table, button, p)').length,
    }))
    const hostile = []
    await page.setViewportSize(VIEWS['phone-light'].viewport)
    for (const name of wishes.hostile) {
      // Another address each time, so that the page begins anew.
      await page.goto(`${wishes.url}?${hostile.length}#/explain?name=${encodeURIComponent(name)}`)
      await page.waitForSelector('.verdict')
      hostile.push(
        await page.evaluate(() => ({
          text: document.querySelector('.verdict').textContent,
          width: document.documentElement.scrollWidth,
          inner: innerWidth,
          elements: document.querySelectorAll('main img, main script, main iframe, main style').length,
        })),
      )
    }
    await context.close()
    return { blocked, open: open_, spoken, hostile }
  },

  async languages() {
    const { context, page } = await open('phone-light', { locale: 'de-CH' })
    await page.goto(wishes.url)
    await page.waitForSelector('h1')
    const german = await page.evaluate(() => [document.documentElement.lang, document.querySelector('h1').textContent])
    await page.selectOption('.top select >> nth=0', 'ar')
    await page.waitForFunction(() => document.documentElement.dir === 'rtl')
    await settle(page)
    const arabic = await page.evaluate(() => [document.documentElement.lang, document.documentElement.dir, document.documentElement.scrollWidth <= innerWidth])
    await page.screenshot({ path: path.join(wishes.folder, 'overview-arabic.png'), fullPage: true })
    await page.reload()
    await page.waitForSelector('h1')
    const kept = await page.evaluate(() => document.documentElement.lang)
    await context.close()
    return { german, arabic, kept }
  },

  /** From elsewhere nothing is shown without a token: not before, not with a wrong one, not after it is taken back. */
  async gate() {
    const { context, page } = await open('wide-light', { extraHTTPHeaders: { 'x-forwarded-for': '192.0.2.1' } })
    await page.goto(wishes.url)
    await page.waitForSelector('.gate')
    const shown = await page.textContent('main')
    await page.screenshot({ path: path.join(wishes.folder, 'gate.png') })
    await page.click('.gate button')
    await page.fill('.gate dialog input', 'xr_wrong')
    await page.click('.gate dialog button[type=submit]')
    await page.waitForSelector('.gate dialog .notice.bad')
    const refused = await page.textContent('.gate dialog .notice.bad')
    await page.fill('.gate dialog input', wishes.token)
    await page.click('.gate dialog button[type=submit]')
    await page.waitForSelector('main .head')
    await page.click('.top button')
    await page.waitForSelector('.gate')
    const after = await page.textContent('main')
    // A page that was open when its token was taken away.
    await page.evaluate(() => sessionStorage.setItem('token', 'xr_taken_away'))
    await page.reload()
    await page.waitForSelector('.gate')
    await page.waitForFunction(() => sessionStorage.getItem('token') === null)
    await context.close()
    return { shown, refused, after }
  },

  /** A wrong token, the right one; then what it is for. */
  async changes() {
    const { context, page } = await open('wide-light')
    await page.goto(wishes.url)
    await page.waitForSelector('main .head')
    const before = await page.locator('main .head button').count()
    await page.click('.top button')
    await page.fill('dialog input', 'xr_wrong')
    await page.click('dialog button[type=submit]')
    await page.waitForSelector('dialog .notice.bad')
    const refused = await page.textContent('dialog .notice.bad')
    await page.fill('dialog input', wishes.token)
    await page.click('dialog button[type=submit]')
    await page.waitForFunction(() => document.querySelectorAll('main .head button').length > 0)
    const signed_in = await page.textContent('.telling')

    await page.click('main .head button >> nth=-1')
    await page.fill('dialog input[type=text]', 'a test of ours')
    await page.click('dialog button[type=submit]')
    await page.waitForSelector('.banner.bad')
    const banner = await page.textContent('.banner')
    await page.screenshot({ path: path.join(wishes.folder, 'paused.png') })
    await page.click('.banner button')
    await page.waitForFunction(() => !document.querySelector('.banner.bad'))

    await page.evaluate(() => { location.hash = '#/exchanges/beta' })
    await page.waitForFunction(() => document.querySelector('h1')?.textContent.includes('Beta'))
    await page.click('main .head button')
    await page.fill('dialog textarea', 'added.example')
    await page.fill('dialog input[type=text]', 'a test of ours')
    await page.click('dialog button[type=submit]')
    await page.waitForSelector('dialog .preview')
    const preview = await page.textContent('dialog .preview')
    const focused = await page.evaluate(() => document.activeElement.className)
    await page.screenshot({ path: path.join(wishes.folder, 'edit.png') })
    // Whoever types on sees it anew before it can be saved.
    await page.fill('dialog textarea', 'added.example other.example')
    const again = await page.textContent('dialog button[type=submit]')
    await page.fill('dialog textarea', 'added.example')
    const saves = await page.textContent('dialog button[type=submit]')
    await page.click('dialog button[type=submit]')
    await page.waitForFunction(() => document.querySelector('.telling')?.textContent.includes('Saved'))
    // The page shows it by itself, once it is in force.
    await page.waitForFunction(() => document.querySelector('main').textContent.includes('added.example'))
    const forced = await force(page)
    const cookies = (await context.cookies()).length
    await context.close()
    return { before, refused, signed_in, banner, cookies, forced, edit: { preview, focused, again, saves } }
  },

  /** Orders and exceptions, by the keyboard alone where it matters; strangers' words in every field. */
  async editing() {
    const { context, page } = await open('wide-light', { bypassCSP: true, token: wishes.token })
    const violations = []
    const pictured = async name => {
      for (const view of TWO_VIEWS) {
        await page.setViewportSize(VIEWS[view].viewport)
        await page.emulateMedia({ colorScheme: VIEWS[view].colorScheme })
        await page.screenshot({ path: path.join(wishes.folder, `${name}-${view}.png`) })
        violations.push(...(await judge(page)))
      }
      await page.setViewportSize(VIEWS['wide-light'].viewport)
    }
    const saved = () => page.waitForFunction(() => document.querySelector('.telling')?.textContent.includes('Saved'))
    const close = () => page.click('.telling .close')
    // A preview is held against what serves, which what was saved becomes a moment later.
    const generation = () => page.evaluate(async () => (await (await fetch('/api/v1/status')).json()).policy.generation)
    const served = async before => {
      while (await generation() <= before) await page.waitForTimeout(200)
    }

    await page.goto(`${wishes.url}#/orders/order-2`)
    await page.click('main .head .actions button')
    await page.fill('dialog input[type=text] >> nth=2', '7 O 13/26')
    await page.fill('dialog input[type=date] >> nth=4', '2031-02-03')
    await page.fill('dialog input[type=text] >> nth=3', wishes.hostile[5])
    await page.click('dialog button[type=submit]')
    await page.waitForSelector('dialog .preview')
    const order = await page.textContent('dialog .preview')
    await pictured('edit-order')
    let before = await generation()
    await page.click('dialog button[type=submit]')
    await saved()
    await served(before)
    await page.waitForFunction(() => document.querySelector('main').textContent.includes('7 O 13/26'))
    await close()

    // An exception, with no mouse.
    await page.evaluate(() => { location.hash = '#/exceptions' })
    await page.waitForFunction(() => document.querySelector('main table')?.textContent.includes('academy.alpha.example'))
    await page.evaluate(() => document.querySelector('main .head button').focus())
    await page.keyboard.press('Enter')
    await page.waitForSelector('dialog[open]')
    const focus = () => page.evaluate(() => document.querySelector(`label[for="${document.activeElement.id}"]`)?.textContent ?? document.activeElement.textContent)
    const reached = []
    for (const text of ['pay.alpha.example', wishes.hostile[0], 'T-815']) {
      reached.push(await focus())
      await page.keyboard.type(text)
      await page.keyboard.press('Tab')
    }
    await page.fill('dialog input[type=date] >> nth=1', '2031-02-03')
    await page.fill('dialog input[type=text] >> nth=3', wishes.hostile[5])
    await page.focus('dialog input[type=text] >> nth=3')
    await page.keyboard.press('Enter')
    await page.waitForSelector('dialog .preview')
    const focused = await page.evaluate(() => document.activeElement.className)
    const exception = await page.textContent('dialog .preview')
    await pictured('edit-exception')
    await page.focus('dialog button[type=submit]')
    before = await generation()
    await page.keyboard.press('Enter')
    await saved()
    await served(before)
    await page.waitForFunction(() => document.querySelector('main table').textContent.includes('pay.alpha.example'))
    const elements = await page.evaluate(() => document.querySelectorAll('main img, main script, dialog img').length)
    await close()
    await page.click('main tr:has-text("pay.alpha.example") button >> nth=1')
    await page.fill('dialog input[type=text]', 'no longer needed')
    await page.click('dialog button[type=submit]')
    await page.waitForSelector('dialog .preview')
    const removal = await page.textContent('dialog .preview')
    await page.keyboard.press('Escape')
    await page.waitForFunction(() => !document.querySelector('dialog'))
    await context.close()
    return { order, exception, removal, reached, focused, elements, violations }
  },

  /** What waits for a second person: all that whoever approves must see. */
  async proposals() {
    const { context, page } = await open('wide-light', { bypassCSP: true, token: wishes.token })
    await page.goto(`${wishes.url}#/changes`)
    await page.waitForSelector('main .problem')
    await page.click('main .problem:has-text("exchange") details summary')
    const violations = []
    const sizes = []
    for (const view of TWO_VIEWS) {
      await page.setViewportSize(VIEWS[view].viewport)
      await page.emulateMedia({ colorScheme: VIEWS[view].colorScheme })
      sizes.push(await look(page, view, 'proposals'))
      violations.push(...(await judge(page)))
    }
    const shown = await page.locator('main .problem').allTextContents()
    const elements = await page.evaluate(() => document.querySelectorAll('main img, main script').length)
    await page.focus('main .problem:has-text("pause") button.primary')
    await page.keyboard.press('Enter')
    await page.waitForSelector('.banner.bad')
    const banner = await page.textContent('.banner')
    await context.close()
    return { shown, sizes, violations, elements, banner }
  },

  async report() {
    const { context, page } = await open('wide-light')
    await page.goto(wishes.url)
    const opening = context.waitForEvent('page')
    await page.click('.top a.button')
    const report = await opening
    await report.waitForLoadState()
    const heading = await report.textContent('h1')
    await context.close()
    return heading
  },
}

try {
  const began = Date.now()
  await everyPage()
  found.took_ms.pages = Date.now() - began
  for (const name of wishes.steps) {
    const began = Date.now()
    try {
      found.steps[name] = await steps[name]()
      found.took_ms[name] = Date.now() - began
    } catch (error) {
      const where = String(error.stack).split('\n').find(line => line.includes('e2e.mjs'))
      found.trouble.push(`${name}: ${error.message} ${where}`)
      await current?.screenshot({ path: path.join(wishes.folder, `failed-${name}.png`) }).catch(() => {})
    }
  }
} finally {
  await browser.close()
}
found.hosts = found.hosts.filter(one => one !== host)
console.log(JSON.stringify(found))

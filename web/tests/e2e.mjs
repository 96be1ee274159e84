// Looks at every page of a running server in Chromium: `node e2e.mjs WISHES` (JSON), what was found as JSON on stdout.
//
// Knows: playwright-core, axe-core, the pages' addresses.  Does not know: what is right; tests/loopback/test_dashboard.py does.
// WISHES: {url, token, folder, chromium, views: ["wide-light", ...], pages: [[name, hash], ...], hostile: [name, ...]}
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { chromium } from 'playwright-core'

const wishes = JSON.parse(process.argv[2])
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const VIEWS = {
  'wide-light': { colorScheme: 'light', viewport: { width: 1280, height: 900 } },
  'wide-dark': { colorScheme: 'dark', viewport: { width: 1280, height: 900 } },
  'phone-light': { colorScheme: 'light', viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true },
  'phone-dark': { colorScheme: 'dark', viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true },
}
const found = { pages: [], trouble: [], hosts: [], steps: {}, paint_ms: null, transferred: 0 }
const host = new URL(wishes.url).host
const PATIENCE_MS = 8_000

const browser = await chromium.launch({ executablePath: wishes.chromium, args: ['--no-sandbox', '--disable-gpu'] })

/** A page that notes what it must not do. */
async function open(view, { bypassCSP = false, token = '', locale = 'en-GB', ...more } = {}) {
  const context = await browser.newContext({ ...VIEWS[view], locale, timezoneId: 'Europe/Berlin', reducedMotion: 'reduce', bypassCSP, ...more })
  if (token) await context.addInitScript(secret => sessionStorage.setItem('token', secret), token)
  const page = await context.newPage()
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

async function everyPage() {
  for (const view of wishes.views) {
    const { context, page } = await open(view, { bypassCSP: true, token: wishes.token })
    await page.goto(wishes.url)
    for (const [name, hash] of wishes.pages) {
      await page.evaluate(to => { location.hash = to }, hash)
      const sizes = await look(page, view, name)
      found.pages.push({ name, view, ...sizes, violations: await judge(page) })
    }
    await context.close()
  }
}

/** Named things that a reader does, each on a page of its own under the real policy. */
const steps = {
  async paint() {
    const { context, page } = await open('wide-light')
    const sizes = new Map()
    page.on('response', response => {
      const asked = new URL(response.url())
      if (asked.pathname === '/' || asked.pathname.startsWith('/assets/')) sizes.set(asked.pathname, Number(response.headers()['content-length'] ?? 0))
    })
    await page.goto(wishes.url)
    await settle(page)
    const paints = await page.evaluate(() => performance.getEntriesByType('paint').map(one => [one.name, one.startTime]))
    found.paint_ms = Object.fromEntries(paints)['first-contentful-paint'] ?? null
    found.transferred = [...sizes.values()].reduce((sum, size) => sum + size, 0)
    await context.close()
    return sizes.size
  },

  async live() {
    const { context, page } = await open('wide-light')
    await page.goto(wishes.url)
    await page.waitForFunction(() => /[1-9]/.test(document.querySelector('.tile .figure')?.textContent ?? ''))
    const link = await page.textContent('.state')
    await context.close()
    return link.trim()
  },

  async explain() {
    const { context, page } = await open('wide-light')
    await page.goto(`${wishes.url}#/explain`)
    await page.locator('main input[type=search]').pressSequentially('www.blocked.example.net', { delay: 5 })
    await page.waitForFunction(() => document.querySelector('.verdict.blocked')?.textContent.includes('www.blocked.example.net'))
    const blocked = await page.textContent('.verdict')
    await page.locator('main input[type=search]').fill('open.example.org')
    await page.waitForFunction(() => document.querySelector('.verdict:not(.blocked)')?.textContent.includes('open.example.org'))
    const open_ = await page.textContent('.verdict')
    await context.close()
    return { blocked, open: open_ }
  },

  async hostile() {
    const { context, page } = await open('phone-light')
    const told = []
    for (const name of wishes.hostile) {
      await page.goto(`${wishes.url}#/explain?name=${encodeURIComponent(name)}`)
      await page.waitForFunction(() => document.querySelector('.verdict'))
      told.push(
        await page.evaluate(() => ({
          text: document.querySelector('.verdict').textContent,
          width: document.documentElement.scrollWidth,
          inner: innerWidth,
          elements: document.querySelectorAll('main img, main script, main iframe, main style').length,
        })),
      )
    }
    await context.close()
    return told
  },

  async keyboard() {
    const { context, page } = await open('wide-light')
    await page.goto(wishes.url)
    await settle(page)
    await page.keyboard.press('Tab')
    const first = await page.evaluate(() => document.activeElement.className)
    await page.keyboard.press('Enter')
    const then = await page.evaluate(() => document.activeElement.id)
    const reached = []
    await page.evaluate(() => document.querySelector('.brand').focus())
    for (let count = 0; count < 30; count += 1) {
      await page.keyboard.press('Tab')
      reached.push(await page.evaluate(() => document.activeElement.textContent.trim().slice(0, 40) || document.activeElement.getAttribute('aria-label') || ''))
    }
    await context.close()
    return { first, then, reached }
  },

  async languages() {
    const { context, page } = await open('phone-light', { locale: 'de-CH' })
    await page.goto(wishes.url)
    await settle(page)
    const german = await page.evaluate(() => [document.documentElement.lang, document.querySelector('h1').textContent])
    await page.screenshot({ path: path.join(wishes.folder, 'overview-german.png'), fullPage: true })
    await page.selectOption('.top select >> nth=0', 'ar')
    await page.waitForFunction(() => document.documentElement.dir === 'rtl')
    await settle(page)
    const arabic = await page.evaluate(() => [document.documentElement.lang, document.documentElement.dir, document.documentElement.scrollWidth <= innerWidth])
    await page.screenshot({ path: path.join(wishes.folder, 'overview-arabic.png'), fullPage: true })
    await page.reload()
    await settle(page)
    const kept = await page.evaluate(() => document.documentElement.lang)
    await context.close()
    return { german, arabic, kept }
  },

  async scheme() {
    const { context, page } = await open('wide-light')
    await page.goto(wishes.url)
    await settle(page)
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor)
    const light = await ground()
    await page.selectOption('.top select >> nth=1', 'dark')
    const dark = await ground()
    await page.reload()
    const kept = await ground()
    await context.close()
    return { light, dark, kept }
  },

  async sign_in() {
    const { context, page } = await open('wide-light')
    await page.goto(wishes.url)
    await settle(page)
    const before = await page.locator('main .head button').count()
    await page.click('.top button')
    await page.fill('dialog input', 'xr_wrong')
    await page.click('dialog button[type=submit]')
    await page.waitForSelector('dialog .notice.bad')
    const refused = await page.textContent('dialog .notice.bad')
    await page.fill('dialog input', wishes.token)
    await page.click('dialog button[type=submit]')
    await page.waitForFunction(() => document.querySelectorAll('main .head button').length > 0)
    const after = await page.locator('main .head button').count()
    const told = await page.textContent('.telling')
    const cookies = (await context.cookies()).length
    await context.close()
    return { before, refused, after, told, cookies }
  },

  async report() {
    const { context, page } = await open('wide-light')
    await page.goto(wishes.url)
    await settle(page)
    const opening = context.waitForEvent('page')
    await page.click('.top a.button')
    const report = await opening
    await report.waitForLoadState()
    const heading = await report.textContent('h1')
    await context.close()
    return heading
  },

  async pause() {
    const { context, page } = await open('wide-light', { token: wishes.token })
    await page.goto(wishes.url)
    await settle(page)
    await page.click('main .head button >> nth=-1')
    await page.fill('dialog input[type=text]', 'a test of ours')
    await page.click('dialog button[type=submit]')
    await page.waitForSelector('.banner.bad')
    const banner = await page.textContent('.banner')
    await page.screenshot({ path: path.join(wishes.folder, 'paused.png') })
    await page.click('.banner button')
    await page.waitForFunction(() => !document.querySelector('.banner.bad'))
    await context.close()
    return banner
  },

  async edit() {
    const { context, page } = await open('wide-light', { token: wishes.token })
    await page.goto(`${wishes.url}#/exchanges/beta`)
    await settle(page)
    await page.click('main .head button')
    await page.fill('dialog textarea', 'added.example')
    await page.fill('dialog input[type=text]', 'a test of ours')
    await page.screenshot({ path: path.join(wishes.folder, 'edit.png') })
    await page.click('dialog button[type=submit]')
    await page.waitForSelector('.telling')
    const told = await page.textContent('.telling')
    await context.close()
    return told
  },
}

try {
  await everyPage()
  for (const name of wishes.steps) {
    try {
      found.steps[name] = await steps[name]()
    } catch (error) {
      found.trouble.push(`${name}: ${error.message}`)
    }
  }
} finally {
  await browser.close()
}
found.hosts = found.hosts.filter(one => one !== host)
console.log(JSON.stringify(found))

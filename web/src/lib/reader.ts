// The reader: language, locale, light or dark.
//
// Knows: what the browser says, what was chosen, where that is kept.  Does not know: the pages.
import { Format } from './format'
import { Store } from './store'
import { ENGLISH, type Catalogue, LANGUAGES, RIGHT_TO_LEFT, Texts, chooseLanguage, localeFor } from './texts'

/** Written by the build: language -> file name. */
declare const TEXT_FILES: Record<string, string>

export interface Reader {
  texts: Texts
  format: Format
}

export type Scheme = 'auto' | 'light' | 'dark'

function recall(key: string): string {
  try {
    return localStorage.getItem(key) ?? ''
  } catch {
    return ''
  }
}

function remember(key: string, value: string): void {
  try {
    if (value) localStorage.setItem(key, value)
    else localStorage.removeItem(key)
  } catch {
    // No storage: for this page alone.
  }
}

function readerOf(code: string, catalogue: Catalogue): Reader {
  const format = new Format(localeFor(code, navigator.languages))
  return { texts: new Texts(code, catalogue, value => format.count(value)), format }
}

export const reader = new Store<Reader>(readerOf('en', ENGLISH))
export const scheme = new Store<Scheme>(schemeOf(recall('scheme')))

function schemeOf(text: string): Scheme {
  return text === 'light' || text === 'dark' ? text : 'auto'
}

/** Which language the page begins in. */
export function firstLanguage(): string {
  const chosen = recall('language')
  return chosen in LANGUAGES ? chosen : chooseLanguage(navigator.languages)
}

/** Speak it from now on; English where its texts cannot be had. */
export async function speak(code: string, isChosen = false): Promise<void> {
  let catalogue = ENGLISH
  const file = TEXT_FILES[code]
  if (code !== 'en' && file) {
    try {
      const response = await fetch(new URL(`assets/${file}`, document.baseURI), { credentials: 'omit' })
      if (!response.ok) throw new Error(String(response.status))
      catalogue = (await response.json()) as Catalogue
    } catch {
      code = 'en'
    }
  }
  if (isChosen) remember('language', code)
  document.documentElement.lang = code
  document.documentElement.dir = RIGHT_TO_LEFT.has(code) ? 'rtl' : 'ltr'
  reader.set(readerOf(code, catalogue))
}

export function chooseScheme(chosen: Scheme): void {
  remember('scheme', chosen === 'auto' ? '' : chosen)
  if (chosen === 'auto') delete document.documentElement.dataset['scheme']
  else document.documentElement.dataset['scheme'] = chosen
  scheme.set(chosen)
}

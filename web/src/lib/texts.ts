// What the page says, in one language; what a language lacks is said in English.
//
// Knows: catalogues, plurals (Intl.PluralRules), places such as {count}.  Does not know: where catalogues come from.
import english from '../texts/en.json'

/** A text; or one for each plural category of its `count`. */
export type Entry = string | Record<string, string>
export type Catalogue = Record<string, Entry>
export type Key = keyof typeof english
export type Values = Record<string, string | number>

export const ENGLISH: Catalogue = english

/** Codes, each with its own name (the same as in resolver/languages.py). */
export const LANGUAGES: Record<string, string> = {
  en: 'English',
  ar: 'العربية',
  de: 'Deutsch',
  es: 'Español',
  fr: 'Français',
  it: 'Italiano',
  ja: '日本語',
  nl: 'Nederlands',
  pl: 'Polski',
  pt: 'Português',
  tr: 'Türkçe',
  uk: 'Українська',
}
export const RIGHT_TO_LEFT: ReadonlySet<string> = new Set(['ar'])

/** One language's texts. */
export class Texts {
  readonly code: string
  private readonly catalogue: Catalogue
  private readonly plurals: Intl.PluralRules
  private readonly englishPlurals = new Intl.PluralRules('en')
  private readonly numbers: (value: number) => string

  constructor(code: string, catalogue: Catalogue, numbers: (value: number) => string = String) {
    this.code = code
    this.catalogue = catalogue
    this.plurals = new Intl.PluralRules(code)
    this.numbers = numbers
  }

  /** The text, its places filled; of a plural the form for `values.count`. */
  say(key: Key, values: Values = {}): string {
    const own = this.catalogue[key]
    const text =
      this.form(own, values, this.plurals) ?? this.form(ENGLISH[key], values, this.englishPlurals) ?? key
    return text.replace(/\{(\w+)\}/g, (place, name: string) => {
      const value = values[name]
      return value === undefined ? place : typeof value === 'number' ? this.numbers(value) : value
    })
  }

  /** The text for a word of the server's, which may have none; then `otherwise`, in the server's words. */
  word(key: string, otherwise: string): string {
    const own = this.catalogue[key] ?? ENGLISH[key]
    return typeof own === 'string' ? own : otherwise
  }

  private form(entry: Entry | undefined, values: Values, plurals: Intl.PluralRules): string | undefined {
    if (entry === undefined || typeof entry === 'string') return entry
    const count = values['count']
    return entry[plurals.select(typeof count === 'number' ? count : 0)] ?? entry['other']
  }
}

/** The first language of `wanted` (BCP 47) that there is; else English. */
export function chooseLanguage(wanted: readonly string[], there: Iterable<string> = Object.keys(LANGUAGES)): string {
  const codes = new Set(there)
  for (const tag of wanted) {
    const code = tag.toLowerCase().split('-')[0] ?? ''
    if (codes.has(code)) return code
  }
  return 'en'
}

/** The reader's own locale where it is of this language (de-CH for de), else the language. */
export function localeFor(language: string, wanted: readonly string[]): string {
  return wanted.find(tag => tag.toLowerCase().split('-')[0] === language) ?? language
}

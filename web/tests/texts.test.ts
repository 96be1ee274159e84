// The catalogues: each language has every text, with the same places, and every plural that it needs.
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { ENGLISH, LANGUAGES, RIGHT_TO_LEFT, Texts, chooseLanguage, localeFor, type Catalogue, type Entry } from '../src/lib/texts'

declare const TEXTS_FOLDER: string
const codes = readdirSync(TEXTS_FOLDER).map(name => path.basename(name, '.json'))
const catalogueOf = (code: string): Catalogue =>
  JSON.parse(readFileSync(path.join(TEXTS_FOLDER, `${code}.json`), 'utf8')) as Catalogue
const formsOf = (entry: Entry): string[] => (typeof entry === 'string' ? [entry] : Object.values(entry))
const placesIn = (text: string): string => [...text.matchAll(/\{(\w+)\}/g)].map(found => found[1]).sort().join()

test('there is a catalogue for each language, and no other', () => {
  assert.deepEqual(codes.sort(), Object.keys(LANGUAGES).sort())
  assert.equal(codes.length, 12)
  assert.ok([...RIGHT_TO_LEFT].every(code => codes.includes(code)))
})

for (const code of codes) {
  test(`${code} has every text, with the places of the English one`, () => {
    const catalogue = catalogueOf(code)
    for (const [key, english] of Object.entries(ENGLISH)) {
      const entry = catalogue[key]
      assert.ok(entry !== undefined, key)
      assert.equal(typeof entry, typeof english, key)
      for (const form of formsOf(entry)) {
        assert.ok(form.trim(), key)
        assert.equal(placesIn(form), placesIn(formsOf(english)[0] ?? ''), key)
      }
    }
    const more = Object.keys(catalogue).filter(key => !(key in ENGLISH) && !key.startsWith('problem_'))
    assert.deepEqual(more, [])
  })

  test(`${code} has every plural that its numbers need`, () => {
    const rules = new Intl.PluralRules(code)
    const needed = new Set(Array.from({ length: 1_000 }, (_, count) => rules.select(count)))
    for (const [key, entry] of Object.entries(catalogueOf(code))) {
      if (typeof entry === 'string') continue
      assert.ok([...needed, 'other'].every(category => category in entry), `${key}: ${[...needed].join()}`)
    }
  })
}

test('what a language lacks is said in English', () => {
  const texts = new Texts('de', { overview: 'Übersicht' })
  assert.equal(texts.say('overview'), 'Übersicht')
  assert.equal(texts.say('orders'), 'Orders')
  assert.equal(texts.say('problems_count', { count: 1 }), '1 problem')
})

test('places are filled, and what fills them is never read again', () => {
  const texts = new Texts('en', ENGLISH)
  assert.equal(texts.say('of', { part: '{whole}', whole: '$&' }), '{whole} of $&')
})

test('words of the server that nobody translated stay as they are', () => {
  const texts = new Texts('de', catalogueOf('de'))
  assert.equal(texts.word('source_cache', 'cache'), 'Cache')
  assert.equal(texts.word('source_newer', 'newer'), 'newer')
  assert.equal(texts.word('problem_policy_empty', 'Nothing is blocked'), 'Nichts ist gesperrt')
  assert.equal(new Texts('en', ENGLISH).word('problem_policy_empty', 'Nothing is blocked'), 'Nothing is blocked')
  assert.equal(texts.word('constructor', 'constructor'), 'constructor')
})

test("the language is the reader's first that there is", () => {
  assert.equal(chooseLanguage(['sv', 'de-CH', 'en']), 'de')
  assert.equal(chooseLanguage(['sv']), 'en')
  assert.equal(localeFor('de', ['en-US', 'de-CH']), 'de-CH')
  assert.equal(localeFor('fr', ['en-US']), 'fr')
})

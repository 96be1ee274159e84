// Text of strangers: what is unseen is shown, and nothing steers the text around it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clipped, partsOf, plain, safeLink } from '../src/lib/safe'

test('ordinary names stay as they are', () => {
  for (const name of ['www.example.com', 'xn--mnchen-3ya.example', 'bücher.example', '取引.example', 'مثال.example', 'a_b.example']) {
    assert.deepEqual(partsOf(name), [{ text: name, isEscape: false }])
  }
})

test('what turns text around or hides is shown by its number', () => {
  assert.equal(plain('exe\u202ecod.example'), 'exe\\u{202e}cod.example')
  assert.equal(plain('a\u0000b\r\nc\u0085'), 'a\\u{0000}b\\u{000d}\\u{000a}c\\u{0085}')
  assert.equal(plain('\u2066x\u2069\u200f\u200b\ufeff\u00ad\u3164'), '\\u{2066}x\\u{2069}\\u{200f}\\u{200b}\\u{feff}\\u{00ad}\\u{3164}')
  assert.equal(plain('\u{e0041}\ud800'), '\\u{e0041}\\u{d800}')
})

test('no character that a browser obeys is left', () => {
  for (let code = 0; code < 0x30000; code += 1) {
    const shown = plain(String.fromCodePoint(code))
    assert.ok(!/[\p{Cc}\p{Bidi_Control}\p{Default_Ignorable_Code_Point}]/u.test(shown), code.toString(16))
  }
})

test('markup is text', () => {
  const text = '<img src=x onerror=alert(1)>&lt;'
  assert.deepEqual(partsOf(text), [{ text, isEscape: false }])
})

test('marks that climb over other lines are numbers', () => {
  const [letter, ...rest] = partsOf(`e${'\u0301'.repeat(50)}x`)
  assert.equal(letter?.text, `e${'\u0301'.repeat(3)}`)
  assert.ok(rest.some(part => part.isEscape))
  assert.equal(partsOf('e\u0301').length, 1)
})

test('a long text keeps both of its ends, and no half character', () => {
  const text = `${'a'.repeat(200)}.example`
  const shown = clipped(text, 60)
  assert.equal([...shown].length, 60)
  assert.ok(shown.endsWith('.example') && shown.includes('…'))
  assert.equal(clipped('short', 60), 'short')
  assert.ok(!/\p{Surrogate}/u.test(clipped('😀'.repeat(100), 9)))
})

test('only web and mail addresses are links', () => {
  assert.equal(safeLink('https://example.org/order'), 'https://example.org/order')
  assert.equal(safeLink('mailto:noc@example.net'), 'mailto:noc@example.net')
  for (const url of ['javascript:alert(1)', ' javascript:alert(1)', 'java\nscript:alert(1)', 'data:text/html,x', 'file:///etc/passwd', 'alerts/#x', '', null]) {
    assert.equal(safeLink(url), null)
  }
})

// What an edit asks for, of what its fields say.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { changedDays, changedTexts, given, isForcible, namesOf, wordsOf } from '../src/lib/edits'

test('texts that are as they were change nothing, and an empty one is taken out', () => {
  assert.deepEqual(changedTexts({ title: ['T', ' T '], reference: [null, ''], authority: ['A', 'B'] }), { authority: 'B' })
  assert.deepEqual(changedTexts({ ticket: ['T-1', ' '] }), { ticket: null })
})

test('days are set, taken out, or left as they are; with until goes through', () => {
  assert.deepEqual(changedDays({ from: '', due: '2027-01-01' }), { due: '2027-01-01' })
  assert.deepEqual(changedDays({ until: '2027-01-01' }), { until: '2027-01-01', through: null })
  assert.deepEqual(changedDays({ until: null, from: null }), { until: null, through: null, from: null })
})

test('what is new has only what says something', () => {
  assert.deepEqual(given({ reason: '', ticket: 'T', from: null }), { ticket: 'T' })
})

test('only what nothing but safety rules refuse can be overruled', () => {
  const rail = { line: 3, message: 'org is a public suffix', forcible: true }
  assert.equal(isForcible({ more: { problems: [rail, rail] } }), true)
  for (const problems of [[], [rail, { ...rail, forcible: false }], [null], undefined]) {
    assert.equal(isForcible({ more: { problems } }), false)
  }
  assert.equal(isForcible(new Error('no answer')), false)
  assert.equal(isForcible(null), false)
})

test('names are split wherever people part them, and each is there once', () => {
  assert.deepEqual(namesOf('a.example, b.example\n\n a.example;c.example'), ['a.example', 'b.example', 'c.example'])
  assert.equal(wordsOf('- a\n\n  + b\n'), '- a; + b')
})

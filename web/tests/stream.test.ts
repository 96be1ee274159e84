// Server-sent events in pieces, routes, and what charts say in numbers.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hrefOf, placeOf } from '../src/lib/route'
import { EventReader, waitBefore } from '../src/lib/stream'
import { lineOf, rowsOf, summaryOf } from '../src/lib/summary'

const STREAM = 'retry: 5000\n\n: note\nevent: now\ndata: {"a":1}\n\nevent: problems\r\ndata: one\r\ndata: two\r\n\r\ndata: plain\r\r'

test('events are the same, however the stream is cut', () => {
  const whole = new EventReader().read(`${STREAM}\n`)
  assert.deepEqual(whole, [
    { event: 'now', data: '{"a":1}' },
    { event: 'problems', data: 'one\ntwo' },
    { event: 'message', data: 'plain' },
  ])
  for (let size = 1; size < 9; size += 1) {
    const reader = new EventReader()
    const found = []
    for (let from = 0; from < STREAM.length; from += size) found.push(...reader.read(STREAM.slice(from, from + size)))
    found.push(...reader.read('\n'))
    assert.deepEqual(found, whole, String(size))
  }
})

test('an event without an end is given up', () => {
  const reader = new EventReader()
  assert.throws(() => {
    for (let count = 0; count < 20; count += 1) reader.read(`data: ${'x'.repeat(100_000)}`)
  })
})

test('tries come slower and slower, and never too slow', () => {
  assert.deepEqual([1, 2, 3].map(tries => waitBefore(tries, 0.5)), [2, 4, 8])
  assert.ok(waitBefore(50, 1) <= 37.5 && waitBefore(50, 0) >= 22.5)
})

test('a place is written and read', () => {
  for (const path of [[], ['orders'], ['exchanges', 'a/b?c#d%'], ['explain', '<b>\u202e']]) {
    assert.deepEqual(placeOf(hrefOf(path)).path, path)
  }
  assert.deepEqual(placeOf(hrefOf(['explain'], { name: 'a b&c' })).query, { name: 'a b&c' })
  assert.deepEqual(placeOf('#/%E0%A4%A').path, ['%E0%A4%A'])
})

test('a chart in numbers leaves its gaps out', () => {
  assert.deepEqual(summaryOf([1, null, 5, 3, null]), { last: 3, mean: 3, highest: 5, highestAt: 2 })
  assert.equal(summaryOf([null, undefined]), null)
})

test('many steps become few rows of means', () => {
  const rows = rowsOf([0, 1, 2, 3, 4], [{ values: [1, 3, null, null, 7] }], 3)
  assert.deepEqual(rows, [
    { at: 0, values: [2] },
    { at: 2, values: [null] },
    { at: 4, values: [7] },
  ])
})

test('a share of many counts more in a mean than a share of few', () => {
  assert.equal(summaryOf([1, 0.5, null], [1, 999, 4])?.mean, 0.5005)
  assert.equal(summaryOf([1, 0.5], [0, 0])?.mean, 0.75)
  const rows = rowsOf([0, 1, 2, 3], [{ values: [1, 0, 1, 0], weights: [1, 3, 3, 1] }, { values: [1, 0, 1, 0] }], 2)
  assert.deepEqual(rows.map(row => row.values), [[0.25, 0.5], [0.75, 0.5]])
})

test('a small line begins anew after a gap', () => {
  assert.equal(lineOf([0, null, 2], 20, 10), 'M0.0 9.0M20.0 1.0')
})

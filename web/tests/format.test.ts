// Numbers, times and dates as readers write them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Format, largestUnit, secondsOf } from '../src/lib/format'

const en = new Format('en-GB', 'UTC')
const de = new Format('de-DE', 'UTC')

test('numbers are written as the reader does', () => {
  assert.equal(en.count(1234567), '1,234,567')
  assert.equal(de.count(1234567), '1.234.567')
  assert.equal(de.percent(0.1234), '12,3\u00a0%')
})

test('rates are whole from ten on', () => {
  assert.deepEqual([0, 0.123, 1.26, 9.94, 9.96, 12345.6].map(one => en.rate(one)), ['0', '0.12', '1.3', '9.9', '10', '12,346'])
})

test('response times have the unit that fits', () => {
  assert.equal(en.latency(0.0000421), '42 μs')
  assert.equal(en.latency(0.0123), '12 ms')
  assert.equal(en.latency(0.1234), '123 ms')
  assert.match(en.latency(1.54), /^1\.5 secs?$/)
  assert.equal(en.latency(0), '0 ms')
})

test('the unit is the one that people use', () => {
  assert.deepEqual(largestUnit(0), [0, 'second'])
  assert.deepEqual(largestUnit(59), [59, 'second'])
  assert.deepEqual(largestUnit(-7200), [-2, 'hour'])
  assert.deepEqual(largestUnit(3 * 86_400), [3, 'day'])
  assert.deepEqual(largestUnit(400 * 86_400), [13, 'month'])
  assert.deepEqual(largestUnit(1000 * 86_400), [3, 'year'])
})

test('moments are told from now', () => {
  const now = Date.parse('2026-05-01T12:00:00Z')
  assert.equal(en.ago('2026-05-03T12:00:00Z', now), 'in 2 days')
  assert.equal(de.ago('2026-05-01T11:00:00Z', now), 'vor 1 Stunde')
})

test('a date is no moment: it is the same day everywhere', () => {
  assert.equal(new Format('en-GB', 'America/Los_Angeles').day('2026-05-01'), '1 May 2026')
  assert.equal(new Format('en-GB', 'Asia/Tokyo').day('2026-05-01T23:00:00Z'), '2 May 2026')
})

test('what is no moment is shown as it is', () => {
  assert.equal(en.moment('soon'), 'soon')
  assert.equal(en.ago('soon', 0), 'soon')
})

test('lengths of time are read', () => {
  assert.deepEqual(['90s', '10m', '2h', '1d', '15', ' 5 M '].map(secondsOf), [90, 600, 7200, 86_400, 900, 300])
  assert.deepEqual(['', 'h', '1.5h', '-1m', '1y', '99999999s'].map(secondsOf), [null, null, null, null, null, null])
})

// What is asked again by and by: not after a refusal; what was answered stays, and says so; but not with another token.
import assert from 'node:assert/strict'
import { afterEach, mock, test } from 'node:test'
import { h, options, render } from 'preact'

Object.assign(globalThis, { document: { baseURI: 'http://localhost/', visibilityState: 'visible' } })
const { keepToken } = await import('../src/lib/api')
const { policyTurn } = await import('../src/lib/live')
const { SELDOM_S, useAll, useResource } = await import('../src/lib/resource')
type Seen = ReturnType<typeof useResource<{ number: number }>>

let answer: () => Response = () => Response.json({})
let times = 0
globalThis.fetch = async () => {
  times += 1
  return answer()
}
options.requestAnimationFrame = callback => void setImmediate(callback)
mock.timers.enable({ apis: ['setInterval', 'Date'] })

/** All that was drawn; nothing is put into the page, so there need be none. */
const drawn: Seen[] = []
const place = { nodeType: 1, childNodes: [], firstChild: null, namespaceURI: '', insertBefore: () => {}, removeChild: () => {} } as unknown as Element
function Part(): null {
  drawn.push(useResource<{ number: number }>('things', {}, { every_s: 5 }))
  return null
}
const settle = async (): Promise<void> => {
  for (let count = 0; count < 30; count += 1) await new Promise(resolve => setImmediate(resolve))
}
const last = (): Seen => drawn.at(-1) as Seen
const pass = async (seconds: number): Promise<void> => {
  for (let second = 0; second < seconds; second += 1) {
    mock.timers.tick(1_000)
    await settle()
  }
}
async function show(number: number): Promise<void> {
  answer = () => Response.json({ number })
  keepToken('xr_one')
  render(h(Part, {}), place)
  await settle()
  assert.equal(last().value?.number, number)
  times = 0
}
afterEach(async () => {
  render(null, place)
  await settle()
  drawn.length = 0
})

test('it is asked for again and again', async () => {
  await show(1)
  answer = () => Response.json({ number: 2 })
  await pass(20)
  assert.equal(times, 4)
  assert.equal(last().value?.number, 2)
})

test('a list of many pages is asked for again, too, so that a display on a wall does not freeze', async () => {
  answer = () => Response.json({ items: [{ number: 1 }], next: null })
  const seen: number[] = []
  render(
    h(() => {
      seen.push(useAll('things', {}, { every_s: SELDOM_S }).value?.items.length ?? 0)
      return null
    }, {}),
    place,
  )
  await settle()
  answer = () => Response.json({ items: [{ number: 1 }, { number: 2 }], next: null })
  await pass(SELDOM_S - 1)
  assert.equal(seen.at(-1), 1)
  await pass(1)
  assert.equal(seen.at(-1), 2)
})

test('after a refusal it is asked for no more, until the policy or the token is another one', async () => {
  await show(1)
  answer = () => Response.json({}, { status: 401 })
  await pass(60)
  assert.equal(times, 1)
  assert.equal(last().value, null)
  policyTurn.set(policyTurn.value + 1)
  await settle()
  assert.equal(times, 2)
  await pass(60)
  assert.equal(times, 2)
  answer = () => Response.json({ number: 3 })
  keepToken('xr_two')
  await settle()
  assert.equal(last().value?.number, 3)
  await pass(10)
  assert.equal(times, 5)
})

test('what could not be renewed stays, with when it was given; not where one may not see it', async () => {
  await show(1)
  const at = last().at
  answer = () => Response.json({}, { status: 503 })
  await pass(11)
  assert.equal(times, 2)
  assert.equal(last().value?.number, 1)
  assert.equal(last().at, at)
  assert.ok(last().error)
  answer = () => Response.json({ number: 2 })
  await pass(5)
  assert.equal(last().error, null)
  assert.ok(last().at > at)
  answer = () => Response.json({}, { status: 403 })
  await pass(5)
  assert.equal(last().value, null)
})

test('what one token may see is not shown for a moment after it', async () => {
  await show(1)
  answer = () => Response.json({ number: 2 })
  const before = drawn.length
  keepToken('')
  await settle()
  const after = drawn.slice(before)
  assert.ok(after.length > 1 && after.every(one => one.value?.number !== 1))
  assert.equal(last().value?.number, 2)
})

// The stream of events: a silent one is given up, and nothing is left behind by those before.
import assert from 'node:assert/strict'
import { mock, test } from 'node:test'

Object.assign(globalThis, {
  document: { baseURI: 'http://localhost/', visibilityState: 'visible', addEventListener: (_: string, hear: () => void) => (seen = hear) },
})
let seen = (): void => {}
const { keepToken } = await import('../src/lib/api')
const { SILENCE_MS, link, past, problems, start } = await import('../src/lib/live')

interface Stream {
  signal: AbortSignal
  say: (text: string) => void
}
const streams: Stream[] = []
let status = 200
globalThis.fetch = async (_, given) => {
  const signal = given?.signal as AbortSignal
  if (status !== 200) return Response.json({}, { status })
  let out: ReadableStreamDefaultController<Uint8Array> | undefined
  const body = new ReadableStream<Uint8Array>({ start: controller => void (out = controller) })
  signal.addEventListener('abort', () => out?.error(signal.reason))
  streams.push({ signal, say: text => out?.enqueue(new TextEncoder().encode(text)) })
  return new Response(body)
}
const settle = async (): Promise<void> => {
  for (let count = 0; count < 20; count += 1) await new Promise(resolve => setImmediate(resolve))
}
mock.timers.enable({ apis: ['setTimeout', 'Date'] })
const pass = async (ms: number): Promise<void> => {
  mock.timers.tick(ms)
  await settle()
}

test('a stream that says nothing is given up, and another one begun', async () => {
  start()
  await settle()
  for (let second = 0; second < 30; second += 1) {
    streams[0]?.say(': note\n\n')
    await settle()
    await pass(1_000)
  }
  assert.equal(link.value, 'live')
  assert.equal(streams.length, 1)
  await pass(SILENCE_MS)
  assert.equal(streams[0]?.signal.aborted, true)
  assert.equal(link.value, 'lost')
  await pass(5_000)
  assert.equal(streams.length, 2)
  assert.equal(link.value, 'live')
})

test('each try leaves nothing on the signal', async () => {
  const heard = new Map<EventTarget, number>()
  const { addEventListener, removeEventListener } = AbortSignal.prototype
  const count = (of: EventTarget, by: number): void => void heard.set(of, (heard.get(of) ?? 0) + by)
  AbortSignal.prototype.addEventListener = function (this: AbortSignal, ...given: unknown[]) {
    // Of the retries alone: the streams' own are never taken away.
    if ((given[2] as { once?: boolean } | undefined)?.once) count(this, 1)
    return Reflect.apply(addEventListener, this, given)
  } as typeof addEventListener
  AbortSignal.prototype.removeEventListener = function (this: AbortSignal, ...given: unknown[]) {
    count(this, -1)
    return Reflect.apply(removeEventListener, this, given)
  } as typeof removeEventListener
  status = 503
  await pass(SILENCE_MS)
  for (let tries = 0; tries < 5; tries += 1) await pass(40_000)
  const left = Math.max(...heard.values())
  Object.assign(AbortSignal.prototype, { addEventListener, removeEventListener })
  assert.ok(heard.size > 0)
  // The pause that goes on now.
  assert.ok(left <= 1, String(left))
})

test('who was refused sees nothing of before, and is still refused after a look elsewhere, until another token comes', async () => {
  status = 200
  await pass(40_000)
  streams.at(-1)?.say('event: problems\ndata: {"items": [{}]}\n\nevent: now\ndata: {}\n\n')
  await settle()
  assert.deepEqual([problems.value?.length, past.value.length], [1, 1])
  status = 401
  keepToken('xr_old')
  await settle()
  assert.equal(link.value, 'refused')
  assert.deepEqual([problems.value, past.value.length], [null, 0])
  const told: string[] = []
  const end = link.hear(() => told.push(link.value))
  seen()
  await settle()
  assert.deepEqual(told, [])
  status = 200
  keepToken('xr_new')
  await settle()
  assert.deepEqual(told, ['connecting', 'live'])
  end()
  Object.assign(document, { visibilityState: 'hidden' })
  seen()
})

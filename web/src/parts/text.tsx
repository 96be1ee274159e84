// The small parts that all pages are written with: texts, names, moments, states.
//
// Knows: the reader.  Does not know: the API.
import type { ComponentChildren, VNode } from 'preact'
import { createElement } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { reader, type Reader } from '../lib/reader'
import { clipped, partsOf, plain, safeLink } from '../lib/safe'
import { useStore } from '../lib/store'
import { type Key, type Values } from '../lib/texts'

/** The reader's language and locale; drawn anew when they change. */
export function useReader(): Reader {
  return useStore(reader)
}

export function useTexts(): (key: Key, values?: Values) => string {
  const { texts } = useReader()
  return (key, values) => texts.say(key, values)
}

/** Text of strangers: nothing in it is obeyed, and what is unseen is shown by its number. */
export function Stranger({ text, max = 160 }: { text: string | null | undefined; max?: number }): VNode | null {
  if (!text) return null
  const shown = clipped(text, max)
  return (
    <bdi class="stranger" title={shown === text ? undefined : plain(text)}>
      {partsOf(shown).map(part => (part.isEscape ? <span class="escape">{part.text}</span> : part.text))}
    </bdi>
  )
}

/** A domain name, rule or path: as `Stranger`, in letters of one width. */
export function Name({ text, max }: { text: string | null | undefined; max?: number }): VNode | null {
  if (!text) return null
  return (
    <code class="name">
      <Stranger text={text} {...(max === undefined ? {} : { max })} />
    </code>
  )
}

/** A text whose places are filled with parts. */
export function Say({ say, ...places }: { say: Key } & Record<string, ComponentChildren>): VNode {
  const { texts } = useReader()
  const values: Values = {}
  const filled: Record<string, ComponentChildren> = {}
  for (const [name, value] of Object.entries(places)) {
    if (typeof value === 'number' || typeof value === 'string') values[name] = value
    else filled[name] = value
  }
  const pieces = texts.say(say, values).split(/(\{\w+\})/)
  return <>{pieces.map(piece => (piece.startsWith('{') && piece.slice(1, -1) in filled ? filled[piece.slice(1, -1)] : piece))}</>
}

let ticking: ReturnType<typeof setInterval> | undefined
const tickers = new Set<() => void>()

/** The time, in milliseconds; drawn anew every half minute. */
export function useNow(): number {
  const [at, setAt] = useState(Date.now())
  useEffect(() => {
    const hear = (): void => setAt(Date.now())
    tickers.add(hear)
    ticking ??= setInterval(() => tickers.forEach(ticker => ticker()), 30_000)
    return () => {
      tickers.delete(hear)
      if (!tickers.size && ticking !== undefined) {
        clearInterval(ticking)
        ticking = undefined
      }
    }
  }, [])
  return at
}

/** A moment (RFC 3339) as date and time; `ago`: how long ago or ahead, with the moment in its title. */
export function Moment({ at, ago = false, day = false }: { at: string | null | undefined; ago?: boolean; day?: boolean }): VNode {
  const { format } = useReader()
  const nowMs = useNow()
  if (!at) return <span class="soft">–</span>
  const whole = day ? format.day(at) : format.moment(at)
  return (
    <time dateTime={at} title={ago ? whole : undefined}>
      {ago ? format.ago(at, nowMs) : whole}
    </time>
  )
}

export type Tone = 'good' | 'bad' | 'warn' | 'calm'

/** One word on how something stands; the colour never says it alone. */
export function Badge({ tone, children }: { tone: Tone; children: ComponentChildren }): VNode {
  return <span class={`badge ${tone}`}>{children}</span>
}

/** A link out of the page, if `href` is one that may be followed. */
export function OutLink({ href, children }: { href: string | null | undefined; children: ComponentChildren }): VNode {
  const safe = safeLink(href)
  if (!safe) return <>{children}</>
  return (
    <a href={safe} rel="noreferrer noopener" target="_blank">
      {children}
    </a>
  )
}

export function Card({ title, actions, children, level = 2, kind = '' }: CardProps): VNode {
  const id = `card-${slug(title)}`
  return (
    <section class={`card ${kind}`} aria-labelledby={id}>
      <div class="card-head">
        {createElement(`h${level}`, { id }, title)}
        {actions ? <div class="actions">{actions}</div> : null}
      </div>
      {children}
    </section>
  )
}

interface CardProps {
  title: string
  actions?: ComponentChildren
  children: ComponentChildren
  level?: 1 | 2 | 3
  kind?: string
}

function slug(text: string): string {
  return [...text].map(character => (/[\p{L}\p{N}]/u.test(character) ? character : '-')).join('')
}

/** Facts by name; those without a value are left out. */
export function Facts({ facts }: { facts: readonly (readonly [string, ComponentChildren])[] }): VNode {
  return (
    <dl class="facts">
      {facts
        .filter(([, value]) => value !== null && value !== undefined && value !== '' && value !== false)
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  )
}

/** A sentence of the server's; what stands between backticks is a command. */
export function Prose({ text, max = 1000 }: { text: string | null | undefined; max?: number }): VNode | null {
  if (!text) return null
  return (
    <bdi class="stranger">
      {clipped(text, max)
        .split('`')
        .map((piece, index) => (index % 2 ? <Name text={piece} max={300} /> : <Stranger text={piece} max={max} />))}
    </bdi>
  )
}

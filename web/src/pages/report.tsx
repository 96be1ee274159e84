// The report: in one click from everywhere, and here with its choices.
//
// Knows: `GET report`, its formats.  Does not know: what is in it.
// Theory: on the resolver's own machine it is a plain link.  With a token it must be fetched, since links carry none; it is then
// saved, because a page made here would be bound by this page's policy, which lets no style in.
import type { VNode } from 'preact'
import { useState } from 'preact/hooks'
import { addressOf, ask, token } from '../lib/api'
import { type Items, useResource } from '../lib/resource'
import { useStore } from '../lib/store'
import { LANGUAGES } from '../lib/texts'
import type { Order } from '../lib/types'
import { Field, tell, useFailure } from '../parts/dialog'
import { plain } from '../lib/safe'
import { useReader, useTexts } from '../parts/text'

const FORMATS = ['html', 'csv', 'json', 'markdown'] as const
const ENDINGS: Record<string, string> = { html: 'html', csv: 'csv', json: 'json', markdown: 'md' }

export interface ReportWishes {
  format?: string
  order?: string
  language?: string
}

export function reportHref(language: string, wishes: ReportWishes = {}): string {
  return addressOf('report', { format: 'html', language, ...wishes }).href
}

/** Fetch it with the token and save it as a file. */
export async function saveReport(address: string, format: string): Promise<void> {
  const response = await ask('GET', new URL(address), { accept: '*/*' })
  const url = URL.createObjectURL(await response.blob())
  const saving = document.createElement('a')
  saving.href = url
  saving.download = `report-${new Date().toISOString().slice(0, 10)}.${ENDINGS[format] ?? 'txt'}`
  saving.click()
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
}

/** A link to the report, which also works with a token. */
export function ReportLink({ wishes = {}, kind = 'button', label }: { wishes?: ReportWishes; kind?: string; label?: string }): VNode {
  const say = useTexts()
  const { texts } = useReader()
  const secret = useStore(token)
  const failureOf = useFailure()
  const href = reportHref(texts.code, wishes)
  const press = (event: Event): void => {
    if (!secret) return
    event.preventDefault()
    saveReport(href, wishes.format ?? 'html').catch((error: unknown) => tell({ tone: 'bad', ...failureOf(error) }))
  }
  return (
    <a class={kind} href={href} target="_blank" rel="noopener" onClick={press}>
      {label ?? say('report')}
    </a>
  )
}

export function Report(): VNode {
  const say = useTexts()
  const { texts } = useReader()
  const orders = useResource<Items<Order>>('orders')
  const [format, setFormat] = useState<string>('html')
  const [language, setLanguage] = useState(texts.code)
  const [order, setOrder] = useState('')
  return (
    <>
      <div class="head">
        <h1>{say('report')}</h1>
      </div>
      <div class="card">
        <p>{say('report_what')}</p>
        <Field label={say('format')}>
          {id => (
            <select id={id} value={format} onChange={event => setFormat((event.currentTarget as HTMLSelectElement).value)}>
              {FORMATS.map(one => (
                <option value={one} key={one}>
                  {say(`format_${one}`)}
                </option>
              ))}
            </select>
          )}
        </Field>
        <Field label={say('language')}>
          {id => (
            <select id={id} value={language} onChange={event => setLanguage((event.currentTarget as HTMLSelectElement).value)}>
              {Object.entries(LANGUAGES).map(([code, name]) => (
                <option value={code} lang={code} key={code}>
                  {name}
                </option>
              ))}
            </select>
          )}
        </Field>
        <Field label={say('order')}>
          {id => (
            <select id={id} value={order} onChange={event => setOrder((event.currentTarget as HTMLSelectElement).value)}>
              <option value="">{say('all_orders')}</option>
              {(orders.value?.items ?? []).map(one => (
                <option value={one.id} key={one.id}>
                  {plain(one.title || one.id).slice(0, 120)}
                </option>
              ))}
            </select>
          )}
        </Field>
        <p class="more">
          <ReportLink wishes={{ format, language, order }} kind="button primary" label={say('open_report')} />
        </p>
      </div>
    </>
  )
}

// The dashboard: its frame, its pages, and what is asked first.
//
// Knows: which page stands where.  Does not know: what is on them.
import { render, type VNode } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { keepToken } from './lib/api'
import { link, problems, start as startLive } from './lib/live'
import { chooseScheme, firstLanguage, type Scheme, scheme, speak } from './lib/reader'
import { useResource } from './lib/resource'
import { hrefOf, type Place, placeOf } from './lib/route'
import { start as startSession, who } from './lib/session'
import { useStore } from './lib/store'
import { type Key, LANGUAGES } from './lib/texts'
import type { Status } from './lib/types'
import { DoButton, SignIn, useMay } from './parts/actions'
import { Tellings } from './parts/dialog'
import { Moment, Prose, Say, Stranger, useReader, useTexts } from './parts/text'
import { Changes, Generation } from './pages/changes'
import { Exceptions } from './pages/exceptions'
import { ExchangePage, Exchanges } from './pages/exchanges'
import { ExplainPage } from './pages/explain'
import { Lists } from './pages/lists'
import { OrderPage, Orders } from './pages/orders'
import { Overview } from './pages/overview'
import { Queries } from './pages/queries'
import { Report, ReportLink } from './pages/report'
import { Service } from './pages/service'
import { Suggestions } from './pages/suggestions'

const PLACES: readonly (readonly [string, Key])[] = [
  ['', 'overview'],
  ['explain', 'explain'],
  ['orders', 'orders'],
  ['exchanges', 'exchanges'],
  ['lists', 'lists'],
  ['exceptions', 'exceptions'],
  ['suggestions', 'suggestions'],
  ['changes', 'changes'],
  ['service', 'service'],
  ['queries', 'queries'],
  ['report', 'report'],
]

function pageOf({ path, query }: Place): VNode | null {
  const [name = '', key] = path
  switch (name) {
    case '':
      return <Overview />
    case 'explain':
      return <ExplainPage name={query['name'] ?? ''} />
    case 'orders':
      return key === undefined ? <Orders /> : <OrderPage id={key} />
    case 'exchanges':
      return key === undefined ? <Exchanges find={query['find'] ?? ''} /> : <ExchangePage id={key} />
    case 'lists':
      return <Lists />
    case 'exceptions':
      return <Exceptions />
    case 'suggestions':
      return <Suggestions />
    case 'changes':
      return key === undefined ? <Changes /> : <Generation number={key} />
    case 'service':
      return <Service />
    case 'queries':
      return <Queries />
    case 'report':
      return <Report />
    default:
      return null
  }
}

function Dashboard(): VNode {
  const say = useTexts()
  const { texts } = useReader()
  const [place, setPlace] = useState(placeOf(location.hash))
  const main = useRef<HTMLElement>(null)
  const isFirst = useRef(true)
  useEffect(() => {
    const hear = (): void => setPlace(placeOf(location.hash))
    addEventListener('hashchange', hear)
    return () => removeEventListener('hashchange', hear)
  }, [])
  // From elsewhere, without a token: one request for it instead of one from each part of the page.
  const isShut = useStore(link) === 'refused' && !useStore(who).has_token
  const where = place.path.join('/')
  useEffect(() => {
    const title = PLACES.find(([name]) => name === (place.path[0] ?? ''))?.[1]
    document.title = `${title ? `${say(title)} – ` : ''}exchange-resolver`
    // A new page is read from its top; the first one is where the browser puts it.
    if (isFirst.current) isFirst.current = false
    else {
      main.current?.focus({ preventScroll: true })
      scrollTo(0, 0)
    }
  }, [where, texts])
  return (
    <>
      <a class="skip" href="#main" onClick={event => { event.preventDefault(); main.current?.focus() }}>
        {say('skip')}
      </a>
      <Top />
      <div class="frame">
        <Nav current={place.path[0] ?? ''} />
        <main id="main" tabIndex={-1} ref={main}>
          <Standing isShut={isShut} />
          {isShut ? <Gate /> : pageOf(place) ?? (
            <div class="card">
              <h1>{say('no_such_page')}</h1>
              <p>
                <a href={hrefOf([])}>{say('overview')}</a>
              </p>
            </div>
          )}
        </main>
      </div>
      <Spoken />
      <Tellings />
    </>
  )
}

function Top(): VNode {
  const say = useTexts()
  const { texts } = useReader()
  const state = useStore(link)
  return (
    <header class="top">
      <a class="brand" href={hrefOf([])}>
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <rect width="32" height="32" rx="7" fill="var(--accent)" />
          <path d="M16 6l8 3v6c0 5.200-3.300 9.300-8 11-4.700-1.700-8-5.800-8-11V9z" fill="none" stroke="var(--on-accent)" stroke-width="2.200" stroke-linejoin="round" />
          <path d="M12.200 15.800l2.800 2.800 5-5.400" fill="none" stroke="var(--on-accent)" stroke-width="2.200" stroke-linecap="round" stroke-linejoin="round" />
        </svg>
        exchange-resolver
      </a>
      <span class="state">
        <span class={`dot ${state}`} aria-hidden="true" />
        {say(`link_${state}`)}
      </span>
      <span class="gap" />
      <ReportLink />
      <select
        aria-label={say('language')}
        value={texts.code}
        onChange={event => void speak((event.currentTarget as HTMLSelectElement).value, true)}
      >
        {Object.entries(LANGUAGES).map(([code, name]) => (
          <option value={code} lang={code} key={code}>
            {name}
          </option>
        ))}
      </select>
      <SchemeChoice />
      <Account />
    </header>
  )
}

function SchemeChoice(): VNode {
  const say = useTexts()
  const chosen = useStore(scheme)
  return (
    <select aria-label={say('scheme')} value={chosen} onChange={event => chooseScheme((event.currentTarget as HTMLSelectElement).value as Scheme)}>
      {(['auto', 'light', 'dark'] as const).map(one => (
        <option value={one} key={one}>
          {say(`scheme_${one}`)}
        </option>
      ))}
    </select>
  )
}

function Account(): VNode {
  const say = useTexts()
  const me = useStore(who)
  const [isSigningIn, setIsSigningIn] = useState(false)
  if (me.has_token) {
    return (
      <span class="actions">
        <span class="soft small">
          <Stranger text={me.name} max={40} /> ({say(`role_${me.role}`)})
        </span>
        <button type="button" onClick={() => keepToken('')}>
          {say('sign_out')}
        </button>
      </span>
    )
  }
  return (
    <>
      <button type="button" onClick={() => setIsSigningIn(true)}>
        {say('sign_in')}
      </button>
      {isSigningIn ? <SignIn onClose={() => setIsSigningIn(false)} /> : null}
    </>
  )
}

function Gate(): VNode {
  const say = useTexts()
  const [isSigningIn, setIsSigningIn] = useState(false)
  return (
    <div class="card gate">
      <h1>{say('sign_in')}</h1>
      <p>{say('gate_what')}</p>
      <p class="more">
        <button type="button" class="primary" onClick={() => setIsSigningIn(true)}>
          {say('sign_in')}
        </button>
      </p>
      {isSigningIn ? <SignIn onClose={() => setIsSigningIn(false)} /> : null}
    </div>
  )
}

function Nav({ current }: { current: string }): VNode {
  const say = useTexts()
  const told = useStore(problems)
  const nav = useRef<HTMLElement>(null)
  useEffect(() => {
    // On a phone the pages are one line, which may be longer than the screen.
    nav.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' })
  }, [current])
  return (
    <nav ref={nav} class="places" aria-label={say('pages')}>
      <ul>
        {PLACES.map(([name, key]) => (
          <li key={name}>
            <a href={hrefOf(name ? [name] : [])} aria-current={name === current ? 'page' : undefined}>
              {say(key)}
              {name === '' && told?.length ? (
                <span class="tally" title={say('problems_count', { count: told.length })}>
                  {told.length}
                </span>
              ) : null}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  )
}

/** What everybody must know, whatever page they are on: filtering is off. */
function Standing({ isShut }: { isShut: boolean }): VNode | null {
  const say = useTexts()
  // A pause is a problem, too, and told at once.
  const on = (useStore(problems) ?? []).map(one => one.id).join()
  const status = useResource<Status>('status', {}, { every_s: 15, isOff: isShut, on })
  const mayApprove = useMay('approve')
  const until = status.value?.paused_until
  if (!until) return null
  return (
    <div class="notice bad banner">
      <div>
        <strong>
          <Say say="paused_until" until={<Moment at={until} />} />
        </strong>
        <span class="second">
          <Prose text={status.value?.remarks['filtering']} max={500} />
        </span>
      </div>
      {mayApprove ? <DoButton label={say('resume')} path="resume" done={() => say('resumed')} /> : null}
    </div>
  )
}

/** For screen readers: how many problems there are, when that changes. */
function Spoken(): VNode {
  const say = useTexts()
  const told = useStore(problems)
  return (
    <div class="unseen" role="status" aria-live="polite">
      {told === null ? '' : told.length ? say('problems_count', { count: told.length }) : say('nothing_wrong')}
    </div>
  )
}


async function begin(): Promise<void> {
  const place = document.getElementById('app')
  if (!place) return
  startSession()
  startLive()
  await speak(firstLanguage())
  place.replaceChildren()
  render(<Dashboard />, place)
}

void begin()


// Is anything wrong: every problem, the worst first, each with what to do.
//
// Knows: how a problem is shown, and where in the dashboard it is looked into.  Does not know: what is wrong when.
import type { VNode } from 'preact'
import { hrefOf } from '../lib/route'
import { safeLink } from '../lib/safe'
import type { Problem } from '../lib/types'
import { Badge, Moment, OutLink, Prose, useReader, useTexts } from './text'

const GRAVITY = { error: 0, warning: 1 }

/** What a problem's id begins with -> the page that shows more of it. */
const PAGES: readonly (readonly [string, string])[] = [
  ['policy', 'changes'],
  ['edit_waits', 'changes'],
  ['order', 'orders'],
  ['exchange', 'exchanges'],
  ['list', 'lists'],
  ['acknowledge', 'lists'],
  ['audit', 'service'],
  ['upstream', 'service'],
  ['certificate', 'service'],
]

export function sorted(problems: readonly Problem[]): Problem[] {
  return [...problems].sort((one, other) => GRAVITY[one.level] - GRAVITY[other.level])
}

export function Problems({ problems }: { problems: readonly Problem[] }): VNode {
  const say = useTexts()
  const { texts } = useReader()
  if (!problems.length) {
    return (
      <p class="calm-card">
        <svg width="22" height="22" viewBox="0 0 22 22" aria-hidden="true">
          <path d="M4 11.5l4.500 4.500L18 6.500" fill="none" stroke="currentColor" stroke-width="2.500" stroke-linecap="round" stroke-linejoin="round" />
        </svg>
        {say('nothing_wrong')}
      </p>
    )
  }
  return (
    <ul class="problems">
      {sorted(problems).map(problem => {
        const page = PAGES.find(([start]) => problem.id.startsWith(start))?.[1]
        const path = page === 'orders' && problem.subject ? [page, problem.subject] : page ? [page] : null
        const isError = problem.level === 'error'
        return (
          <li class={`problem ${problem.level}`} key={`${problem.id} ${problem.subject ?? ''}`}>
            <div class="problem-head">
              <Badge tone={isError ? 'bad' : 'warn'}>{say(isError ? 'level_error' : 'level_warning')}</Badge>
              <h3>
                <Prose text={texts.word(`problem_${problem.id}`, problem.title)} />
              </h3>
              {problem.since ? (
                <span class="soft small">
                  <Moment at={problem.since} ago />
                </span>
              ) : null}
            </div>
            <p>
              <Prose text={problem.detail} />
            </p>
            {problem.remedy ? (
              <p class="remedy">
                <span>
                  <Prose text={problem.remedy} />{' '}
                  {safeLink(problem.link) ? <OutLink href={problem.link}>{say('guide')}</OutLink> : null}
                  {path ? <a href={hrefOf(path)}>{say('look_closer')}</a> : null}
                </span>
              </p>
            ) : null}
          </li>
        )
      })}
    </ul>
  )
}

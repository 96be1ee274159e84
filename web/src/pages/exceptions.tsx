// Exceptions: the names that are let through although something would block them.
//
// Knows: `GET exceptions`.  Does not know: what would block them.
import type { VNode } from 'preact'
import { type Items, useAll } from '../lib/resource'
import { hrefOf } from '../lib/route'
import type { Exception } from '../lib/types'
import { useMay } from '../parts/actions'
import { AddExceptionButton, ExceptionButtons } from '../parts/edit_exception'
import { Shown } from '../parts/shown'
import { Table } from '../parts/table'
import { Moment, Name, Stranger, useTexts } from '../parts/text'
import { StateBadge } from './orders'

export function Exceptions(): VNode {
  const say = useTexts()
  const mayEdit = useMay('edit')
  const exceptions = useAll<Exception>('exceptions')
  return (
    <>
      <div class="head">
        <h1>{say('exceptions')}</h1>
        <AddExceptionButton />
      </div>
      <div class="card">
        <p class="intro">{say('exceptions_what')}</p>
        <Shown of={exceptions}>{(answer: Items<Exception>) => <ExceptionsTable exceptions={answer.items} mayEdit={mayEdit} />}</Shown>
      </div>
    </>
  )
}

function ExceptionsTable({ exceptions, mayEdit }: { exceptions: readonly Exception[]; mayEdit: boolean }): VNode {
  const say = useTexts()
  return (
    <Table
      caption={say('exceptions')}
      rows={exceptions}
      keyOf={one => one.name}
      empty={say('no_exceptions')}
      columns={[
        {
          label: say('domain'),
          by: one => one.name,
          cell: one => (
            <>
              <a href={hrefOf(['explain'], { name: one.name.replace(/^(=|\*\.)/, '') })}>
                <Name text={one.name} />
              </a>
              {one.unicode ? (
                <span class="second">
                  <Stranger text={one.unicode} />
                </span>
              ) : null}
            </>
          ),
        },
        { label: say('state'), cell: one => <StateBadge state={one.state} /> },
        {
          label: say('why'),
          cell: one => (
            <>
              {one.reason ? <Stranger text={one.reason} max={300} /> : '–'}
              {one.ticket ? (
                <span class="second">
                  {say('ticket')} <Stranger text={one.ticket} max={100} />
                </span>
              ) : null}
            </>
          ),
        },
        { label: say('from'), cell: one => <Moment at={one.from} day /> },
        { label: say('until'), by: one => one.until ?? '~', cell: one => <Moment at={one.until} day /> },
        ...(mayEdit ? [{ label: say('do'), cell: (one: Exception) => <ExceptionButtons exception={one} /> }] : []),
      ]}
    />
  )
}

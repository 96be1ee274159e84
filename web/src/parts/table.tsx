// Tables that stay tables for screen readers and become cards on a phone.
//
// Knows: columns and rows.  Does not know: what is in them.
import type { ComponentChildren, VNode } from 'preact'
import { useState } from 'preact/hooks'
import { useTexts } from './text'

export interface Column<Row> {
  label: string
  cell: (row: Row) => ComponentChildren
  /** Written at the end of the cell, figure under figure. */
  isNumber?: boolean
  /** What a click on the head sorts by; without it the column cannot be sorted by. */
  by?: (row: Row) => number | string
}

const ROWS_AT_FIRST = 50

interface TableProps<Row> {
  caption: string
  columns: readonly Column<Row>[]
  rows: readonly Row[]
  keyOf: (row: Row) => string | number
  empty?: ComponentChildren
  rowsAtFirst?: number
  compare?: (one: string, other: string) => number
}

export function Table<Row>({ caption, columns, rows, keyOf, empty, rowsAtFirst = ROWS_AT_FIRST, compare }: TableProps<Row>): VNode {
  const say = useTexts()
  const [shown, setShown] = useState(rowsAtFirst)
  const [order, setOrder] = useState<{ column: number; isDown: boolean } | null>(null)
  if (!rows.length) return <p class="empty">{empty ?? say('nothing')}</p>
  const sorted = order ? sortedBy(rows, columns[order.column]?.by, order.isDown, compare) : rows
  const press = (column: number): void => {
    const isNumber = columns[column]?.isNumber ?? false
    setOrder(order?.column === column ? { column, isDown: !order.isDown } : { column, isDown: isNumber })
  }
  return (
    <>
      <table role="table">
        <caption class="unseen">{caption}</caption>
        <thead role="rowgroup">
          <tr role="row">
            {columns.map((column, index) => (
              <th
                scope="col"
                role="columnheader"
                class={column.isNumber ? 'number' : ''}
                aria-sort={order?.column === index ? (order.isDown ? 'descending' : 'ascending') : undefined}
              >
                {column.by ? (
                  <button type="button" class="sort" onClick={() => press(index)}>
                    {column.label}
                    <span aria-hidden="true">{order?.column === index ? (order.isDown ? ' ↓' : ' ↑') : ''}</span>
                  </button>
                ) : (
                  column.label
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {sorted.slice(0, shown).map(row => (
            <tr role="row" key={keyOf(row)}>
              {columns.map((column, index) =>
                index === 0 ? (
                  <th scope="row" role="rowheader">
                    {column.cell(row)}
                  </th>
                ) : (
                  <td role="cell" class={column.isNumber ? 'number' : ''} data-label={column.label}>
                    <div>{column.cell(row)}</div>
                  </td>
                ),
              )}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > shown ? (
        <p class="more">
          <button type="button" onClick={() => setShown(shown + 4 * ROWS_AT_FIRST)}>
            {say('show_more', { count: rows.length - shown })}
          </button>
        </p>
      ) : null}
    </>
  )
}

function sortedBy<Row>(
  rows: readonly Row[],
  by: Column<Row>['by'],
  isDown: boolean,
  compare: TableProps<Row>['compare'],
): readonly Row[] {
  if (!by) return rows
  const sign = isDown ? -1 : 1
  return [...rows].sort((one, other) => {
    const [left, right] = [by(one), by(other)]
    if (typeof left === 'number' && typeof right === 'number') return sign * (left - right)
    return sign * (compare ?? ((a, b) => (a < b ? -1 : a > b ? 1 : 0)))(String(left), String(right))
  })
}

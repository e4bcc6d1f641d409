// @vitest-environment happy-dom
import { cleanup, fireEvent, render, screen } from '@testing-library/react'
import { CombinedError, type UseQueryState } from 'urql'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { type Column, DataTable } from './data-table.tsx'
import { PageFoot, usePaging } from './pages.tsx'
import { QueryView } from './query-view.tsx'

afterEach(cleanup)

describe('a table', () => {
  type Row = { name: string; size: number }
  const columns: Column<Row, 'NAME' | 'SIZE'>[] = [
    { title: 'Name', field: 'NAME', cell: ({ name }) => name },
    { title: 'Size', field: 'SIZE', isNumber: true, cell: ({ size }) => size },
    { title: 'Plain', cell: () => '' },
  ]
  const show = (direction: 'ASC' | 'DESC') => {
    const onOrder = vi.fn()
    render(
      <DataTable
        label="Things"
        columns={columns}
        rows={[{ name: 'a', size: 1 }]}
        keyOf={({ name }) => name}
        order={{ field: 'NAME', direction }}
        onOrder={onOrder}
      />,
    )
    return onOrder
  }

  test('says by what it is sorted, and sorts the other way when asked again', () => {
    const onOrder = show('ASC')
    const heading = screen.getByRole('columnheader', { name: 'Name' })
    expect(heading.getAttribute('aria-sort')).toBe('ascending')
    fireEvent.click(screen.getByRole('button', { name: 'Name' }))
    expect(onOrder).toHaveBeenCalledWith({ field: 'NAME', direction: 'DESC' })
  })

  test('sorts numbers with the largest first, and what cannot be sorted not at all', () => {
    const onOrder = show('DESC')
    fireEvent.click(screen.getByRole('button', { name: 'Size' }))
    expect(onOrder).toHaveBeenCalledWith({ field: 'SIZE', direction: 'DESC' })
    expect(screen.queryByRole('button', { name: 'Plain' })).toBeNull()
    expect(screen.getByRole('rowheader').textContent).toBe('a')
  })
})

describe('a query', () => {
  const state: UseQueryState<{ name: string }> = {
    fetching: false,
    stale: false,
    hasNext: false,
  }
  const show = (changes: Partial<UseQueryState<{ name: string }>>) => {
    const refetch = vi.fn()
    render(
      <QueryView query={[{ ...state, ...changes }, refetch]}>
        {({ name }) => <p>{name}</p>}
      </QueryView>,
    )
    return refetch
  }
  const down = new CombinedError({ networkError: new Error('refused') })

  test('has a placeholder until it is answered', () => {
    show({ fetching: true })
    expect(screen.getByRole('status').textContent).toContain('Loading')
  })

  test('says that nobody answers, above what is known, and can be tried again', () => {
    const refetch = show({ data: { name: 'known' }, error: down })
    expect(screen.getByRole('alert').textContent).toContain('does not answer')
    expect(screen.getByText('known')).toBeTruthy()
    fireEvent.click(screen.getByRole('button', { name: 'Try again' }))
    expect(refetch).toHaveBeenCalled()
  })

  test('shows a refusal in the words of the control plane, with its code', () => {
    const refusal = { message: 'This needs an operator key', extensions: { code: 'forbidden' } }
    const error = new CombinedError({ graphQLErrors: [refusal] })
    // GraphQL answers null beside an error, whatever the type says.
    show({ ...JSON.parse('{"data":null}'), error })
    expect(screen.getByRole('alert').textContent).toContain('This needs an operator keyforbidden')
  })
})

const pageInfo = { hasNextPage: true, endCursor: 'c' }

const List = ({ filter }: { filter: string }) => {
  const paging = usePaging(filter, 50)
  return (
    <>
      <output>{paging.after ?? 'first'}</output>
      <PageFoot paging={paging} numRows={50} total={1234} pageInfo={pageInfo} />
    </>
  )
}

test('pages go forth and back, and begin anew with another filter', () => {
  const { rerender, container } = render(<List filter="a" />)
  const place = () => container.querySelector('output')?.textContent
  expect(place()).toBe('first')
  fireEvent.click(screen.getByRole('button', { name: 'Next' }))
  expect(place()).toBe('c')
  expect(container.textContent).toContain('51–100 of 1,234')
  fireEvent.click(screen.getByRole('button', { name: 'Previous' }))
  expect(place()).toBe('first')
  fireEvent.click(screen.getByRole('button', { name: 'Next' }))
  rerender(<List filter="b" />)
  expect(place()).toBe('first')
})

import { AppError, type Channel, type RecordKind } from '@punica/schema'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import type {
  Bus,
  Problem,
  RecordUpdate,
  ScannedRecord,
  StreamPosition,
  StreamReader,
} from './bus.ts'
import { collect, keysOf } from './testing.ts'

const Note = z.strictObject({ text: z.string() })
type Note = z.infer<typeof Note>

const usageNotes = (tenant: string): Channel<Note> => ({
  subject: `punica.usage.${tenant}`,
  schema: Note,
})
const noteRecords: RecordKind<Note> = { bucket: 'punica_catalog', prefix: 'note', schema: Note }

/** Keeps its position in memory. */
const createReader = (start: StreamPosition | null = null) => {
  const got = collect<string>()
  let at = start
  const reader: StreamReader<Note> = {
    stream: 'PUNICA_USAGE',
    schema: Note,
    position: async () => at,
    handle: async (messages, position) => {
      at = position
      for (const { subject, value } of messages) got.push(`${subject} ${value.text}`)
    },
  }
  return { ...reader, got, at: () => at }
}

type Problems = ReturnType<typeof collect<Problem>>

/** What is kept: records and streams. */
export const recordsContract = (bus: () => Bus, problems: Problems): void => {
  describe('records', () => {
    it('keeps the newest value of each key', async () => {
      const records = await bus().records(noteRecords)
      expect(await records.get('a')).toBeNull()
      const first = await records.put('a', { text: '1' })
      const second = await records.put('a', { text: '2' })
      await records.put('b.c', { text: '3' })
      expect(second).toBeGreaterThan(first)
      expect(await records.get('a')).toEqual({ value: { text: '2' }, revision: second })
      expect(await keysOf(records)).toEqual(['a', 'b.c'])
      await records.delete('a')
      expect(await records.get('a')).toBeNull()
      expect(await keysOf(records)).toEqual(['b.c'])
      await records.delete('b.c')
      expect(await keysOf(records)).toEqual([])
    })

    it('scans every record once, and names those that do not parse', async () => {
      const numRecords = 1_000
      const kind = { ...noteRecords, prefix: 'scanned' }
      const records = await bus().records(kind)
      await Promise.all(
        Array.from({ length: numRecords }, (_, i) => records.put(`n${i}`, { text: `${i}` })),
      )
      const other = await bus().records({ ...kind, schema: z.strictObject({ number: z.number() }) })
      await other.put('odd', { number: 1 })
      await records.delete('n7')
      const seen: ScannedRecord<Note>[] = []
      let isBusy = false
      await records.scan(async (page) => {
        expect(isBusy).toBe(false)
        isBusy = true
        await new Promise((resolve) => setImmediate(resolve))
        seen.push(...page)
        isBusy = false
      })
      expect(seen).toHaveLength(numRecords)
      const values = new Map(seen.map(({ key, value }) => [key, value]))
      expect(values.get('odd')).toBeNull()
      expect(values.has('n7')).toBe(false)
      expect(values.get('n999')).toEqual({ text: '999' })
    })

    it('ends a scan though records go on to change', async () => {
      const records = await bus().records({ ...noteRecords, prefix: 'lively' })
      for (let i = 0; i < 300; i++) await records.put(`n${i}`, { text: 'old' })
      let numSeen = 0
      // Each page brings more than it takes away.
      await records.scan(async (page) => {
        numSeen += page.length
        const more = page.flatMap(({ key }) => [key, `${key}.more`])
        await Promise.all(more.map((key) => records.put(key, { text: 'new' })))
      })
      expect(numSeen).toBeGreaterThanOrEqual(300)
      expect((await keysOf(records)).length).toBeGreaterThanOrEqual(600)
    })

    it('replaces a value for the one writer that knows its revision', async () => {
      const records = await bus().records({ ...noteRecords, prefix: 'contended' })
      const first = await records.replace('a', { text: '1' }, 0)
      expect(first).toBeGreaterThan(0)
      expect(await records.replace('a', { text: 'late' }, 0)).toBeNull()
      const writers = ['2', '3'].map((text) => records.replace('a', { text }, first ?? 0))
      const [won, ...others] = (await Promise.all(writers)).filter((revision) => revision !== null)
      expect(others).toEqual([])
      expect(await records.get('a')).toMatchObject({ revision: won })
      await records.delete('a')
      expect(await records.replace('a', { text: 'stale' }, won ?? 0)).toBeNull()
      expect(await records.replace('a', { text: '4' }, 0)).toBeGreaterThan(won ?? 0)
    })

    it('hands over what there is, then each change', async () => {
      const records = await bus().records({ ...noteRecords, prefix: 'watched' })
      const others = await bus().records({ ...noteRecords, prefix: 'other' })
      await records.put('gone', { text: '0' })
      await records.delete('gone')
      await records.put('a', { text: '1' })
      await others.put('a', { text: 'not seen' })
      await records.put('b', { text: '2' })
      const got = collect<RecordUpdate<Note>>()
      const stop = await records.watch(got.push)
      const brief = () => got.items.map(({ key, value }) => [key, value?.text ?? null])
      expect(brief()).toEqual([
        ['a', '1'],
        ['b', '2'],
      ])
      await records.put('a', { text: '3' })
      await records.delete('b')
      await others.delete('a')
      await records.put('c', { text: '4' })
      await got.take(5)
      expect(brief().slice(2)).toEqual([
        ['a', '3'],
        ['b', null],
        ['c', '4'],
      ])
      stop()
      await records.put('d', { text: '5' })
      await bus().flush()
      expect(got.items).toHaveLength(5)
    })

    it('watches an empty kind', async () => {
      const records = await bus().records({ ...noteRecords, prefix: 'empty' })
      const got = collect<RecordUpdate<Note>>()
      await records.watch(got.push)
      expect(got.items).toEqual([])
      await records.put('first', { text: '1' })
      expect((await got.take(1))[0]?.key).toBe('first')
    })

    it('passes over a value that does not parse', async () => {
      problems.items.length = 0
      const loose = await bus().records({ ...noteRecords, prefix: 'loose', schema: z.unknown() })
      await loose.put('bad', 7)
      await loose.put('good', { text: '1' })
      const records = await bus().records({ ...noteRecords, prefix: 'loose' })
      const got = collect<RecordUpdate<Note>>()
      await records.watch(got.push)
      expect(got.items.map(({ key }) => key)).toEqual(['good'])
      expect(await records.get('bad')).toBeNull()
      expect(problems.items).toHaveLength(2)
    })

    it('keeps what it had when a program of a later format writes', async () => {
      problems.items.length = 0
      const kind = { ...noteRecords, prefix: 'format' }
      const [records, later] = await Promise.all([
        bus().records(kind),
        bus().records({ ...kind, schema: z.looseObject({ format: z.int() }) }),
      ])
      const got = collect<RecordUpdate<Note>>()
      await records.watch(got.push)
      await records.put('a', { text: '1' })
      await later.put('a', { format: 2, words: ['1'] })
      await records.put('b', { text: '2' })
      expect((await got.take(2)).map(({ key, value }) => [key, value?.text])).toEqual([
        ['a', '1'],
        ['b', '2'],
      ])
      expect(String(problems.items[0]?.error)).toContain('has format 2')
    })
  })

  describe('streams', () => {
    it('stores once by id, and goes on where its reader is', async () => {
      await bus().store(usageNotes('t'), { text: '1' }, { id: 'one' })
      await bus().store(usageNotes('t'), { text: 'again' }, { id: 'one' })
      await bus().store(usageNotes('u'), { text: '2' }, { id: 'two' })
      const reader = createReader()
      const stop = await bus().follow(reader)
      expect(await reader.got.take(2)).toEqual(['punica.usage.t 1', 'punica.usage.u 2'])
      stop()
      await bus().store(usageNotes('t'), { text: '3' }, { id: 'three' })
      const another = createReader(reader.at())
      await bus().follow(another)
      await bus().store(usageNotes('t'), { text: '4' }, { id: 'four' })
      expect(await another.got.take(2)).toEqual(['punica.usage.t 3', 'punica.usage.t 4'])
      expect(another.at()?.seq).toBe((reader.at()?.seq ?? 0) + 2)
    })

    it('begins anew at the position after a rejection, and passes over what does not parse', async () => {
      problems.items.length = 0
      const loose = { ...usageNotes('t'), schema: z.unknown() }
      const reader = createReader()
      let numFailures = 1
      const before = await bus().follow(reader)
      await bus().store(usageNotes('t'), { text: 'last' }, { id: 'last' })
      while (!reader.got.items.at(-1)?.endsWith('last')) {
        await reader.got.take(reader.got.items.length + 1)
      }
      before()
      const next = createReader(reader.at())
      await bus().follow({
        ...next,
        handle: async (...batch) => {
          if (numFailures-- > 0) throw new Error('not now')
          await next.handle(...batch)
        },
      })
      await bus().store(loose, { wrong: true }, { id: 'wrong' })
      await bus().store(usageNotes('t'), { text: 'right' }, { id: 'right' })
      expect(await next.got.take(1)).toEqual(['punica.usage.t right'])
      expect(problems.items.map(({ kind }) => kind)).toContain('handler_failed')
      expect(problems.items.map(({ kind }) => kind)).toContain('invalid')
    })

    it('refuses what no stream keeps', async () => {
      const unkept = { subject: 'elsewhere', schema: Note }
      await expect(bus().store(unkept, { text: '' }, { id: 'x' })).rejects.toThrow(AppError)
    })
  })
}

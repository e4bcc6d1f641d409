import { AppError, type Channel, type RecordKind, type RequestChannel } from '@punica/schema'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { Bus, Problem, RecordUpdate } from './bus.ts'
import { collect } from './testing.ts'

const Note = z.strictObject({ text: z.string() })
type Note = z.infer<typeof Note>

const notes = (topic: string): Channel<Note> => ({ subject: `notes.${topic}`, schema: Note })
const anything = (topic: string): Channel<unknown> => ({
  subject: `notes.${topic}`,
  schema: z.unknown(),
})
const questions = (topic: string): RequestChannel<Note, Note> => ({
  subject: `questions.${topic}`,
  request: Note,
  reply: Note,
})
const usageNotes = (tenant: string): Channel<Note> => ({
  subject: `punica.usage.${tenant}`,
  schema: Note,
})
const noteRecords: RecordKind<Note> = { bucket: 'punica_catalog', prefix: 'note', schema: Note }

export type MakeBus = (onProblem: (problem: Problem) => void) => Promise<Bus>

/** What every bus does, whatever carries the messages. */
export const busContract = (name: string, makeBus: MakeBus): void => {
  describe(`${name} as a bus`, () => {
    const problems = collect<Problem>()
    let bus: Bus

    beforeAll(async () => {
      bus = await makeBus(problems.push)
    })
    afterAll(() => bus.close())

    describe('publish and subscribe', () => {
      it('delivers in order, to the sender too, and names the subject', async () => {
        const got = collect<[string, string]>()
        bus.subscribe(notes('order.*'), ({ text }, { subject }) => got.push([subject, text]))
        await bus.flush()
        bus.publish(notes('order.a'), { text: '1' })
        bus.publish(notes('order.b'), { text: '2' })
        bus.publish(notes('order.a'), { text: '3' })
        expect(await got.take(3)).toEqual([
          ['notes.order.a', '1'],
          ['notes.order.b', '2'],
          ['notes.order.a', '3'],
        ])
      })

      it('shares messages within a queue and repeats them outside', async () => {
        const all = collect<string>()
        const shared = collect<string>()
        bus.subscribe(notes('queue'), ({ text }) => all.push(text))
        for (const _ of [1, 2, 3]) {
          bus.subscribe(notes('queue'), ({ text }) => shared.push(text), { queue: 'workers' })
        }
        await bus.flush()
        const sent = Array.from({ length: 20 }, (_, i) => `${i}`)
        for (const text of sent) bus.publish(notes('queue'), { text })
        expect(await all.take(20)).toEqual(sent)
        expect((await shared.take(20)).toSorted()).toEqual(sent.toSorted())
      })

      it('stops', async () => {
        const stopped = collect<string>()
        const kept = collect<string>()
        const stop = bus.subscribe(notes('stop'), ({ text }) => stopped.push(text))
        bus.subscribe(notes('stop'), ({ text }) => kept.push(text))
        await bus.flush()
        stop()
        stop()
        await bus.flush()
        bus.publish(notes('stop'), { text: 'late' })
        await kept.take(1)
        expect(stopped.items).toEqual([])
      })

      it('drops what does not parse, reports it, and goes on', async () => {
        const got = collect<string>()
        problems.items.length = 0
        bus.subscribe(notes('bad'), ({ text }) => got.push(text))
        await bus.flush()
        bus.publish(anything('bad'), { text: 7 })
        bus.publish(anything('bad'), { text: 'x', more: true })
        bus.publish(notes('bad'), { text: 'good' })
        expect(await got.take(1)).toEqual(['good'])
        const seen = (await problems.take(2)).map(({ kind, subject }) => [kind, subject])
        expect(seen).toEqual([
          ['invalid', 'notes.bad'],
          ['invalid', 'notes.bad'],
        ])
      })

      it('survives a handler that throws', async () => {
        const got = collect<string>()
        problems.items.length = 0
        bus.subscribe(notes('throw'), ({ text }) => {
          if (text === 'bomb') throw new Error('boom')
          got.push(text)
        })
        await bus.flush()
        bus.publish(notes('throw'), { text: 'bomb' })
        bus.publish(notes('throw'), { text: 'fine' })
        expect(await got.take(1)).toEqual(['fine'])
        expect((await problems.take(1))[0]?.kind).toBe('handler_failed')
      })

      it('carries answers to an inbox, and to nothing else', async () => {
        const got = collect<string>()
        const elsewhere = collect<string>()
        const inbox = bus.inbox()
        expect(bus.inbox()).not.toBe(inbox)
        bus.subscribe({ subject: inbox, schema: Note }, ({ text }) => got.push(text))
        bus.subscribe(notes('elsewhere'), ({ text }) => elsewhere.push(text))
        bus.subscribe(notes('ask'), (_, { replyTo }) => {
          bus.reply('notes.elsewhere', Note, { text: 'stray' })
          bus.reply('', Note, { text: 'nowhere' })
          bus.reply(replyTo, Note, { text: 'one' })
          bus.reply(replyTo, Note, { text: 'two' })
        })
        await bus.flush()
        bus.publish(notes('ask'), { text: '?' }, { replyTo: inbox })
        expect(await got.take(2)).toEqual(['one', 'two'])
        expect(elsewhere.items).toEqual([])
      })

      it('tells who asks where nobody listens', async () => {
        const told = collect<string>()
        const inbox = bus.inbox()
        const onNoResponders = () => told.push('nobody')
        bus.subscribe({ subject: inbox, schema: Note }, () => told.push('an answer'), {
          onNoResponders,
        })
        bus.publish(notes('nobody'), { text: '?' }, { replyTo: inbox })
        expect(await told.take(1)).toEqual(['nobody'])
      })

      it('refuses a message above the limit', () => {
        expect(() => bus.publish(notes('big'), { text: 'x'.repeat(9 * 1024 ** 2) })).toThrow(
          expect.objectContaining({ code: 'payload_too_large' }),
        )
      })
    })

    describe('request and serve', () => {
      it('answers, one at a time or many at once', async () => {
        bus.serve(questions('echo'), async ({ text }) => ({ text: `re: ${text}` }))
        await bus.flush()
        const asked = Array.from({ length: 50 }, (_, i) => `${i}`)
        const answers = await Promise.all(
          asked.map((text) => bus.request(questions('echo'), { text }, { timeoutMs: 5000 })),
        )
        expect(answers).toEqual(asked.map((text) => ({ text: `re: ${text}` })))
      })

      it('fails at once when nobody listens', async () => {
        const asked = bus.request(questions('nobody'), { text: '' }, { timeoutMs: 60_000 })
        await expect(asked).rejects.toMatchObject({ code: 'unavailable' })
      })

      it('fails in time when the other side throws', async () => {
        problems.items.length = 0
        bus.serve(questions('broken'), () => {
          throw new Error('boom')
        })
        await bus.flush()
        const asked = bus.request(questions('broken'), { text: '' }, { timeoutMs: 50 })
        await expect(asked).rejects.toMatchObject({ code: 'unavailable' })
        expect((await problems.take(1))[0]?.kind).toBe('handler_failed')
      })

      it('fails when the answer is not what the channel says', async () => {
        bus.serve({ ...questions('liar'), reply: z.unknown() }, () => ({ wrong: true }))
        await bus.flush()
        const asked = bus.request(questions('liar'), { text: '' }, { timeoutMs: 50 })
        await expect(asked).rejects.toMatchObject({ code: 'unavailable' })
      })

      it('gives up when told to', async () => {
        bus.serve(questions('slow'), () => new Promise(() => {}))
        await bus.flush()
        const stop = new AbortController()
        const ask = (signal: AbortSignal) =>
          bus.request(questions('slow'), { text: '' }, { timeoutMs: 60_000, signal })
        const asked = ask(stop.signal)
        stop.abort()
        await expect(asked).rejects.toMatchObject({ code: 'cancelled' })
        await expect(ask(AbortSignal.abort())).rejects.toMatchObject({ code: 'cancelled' })
      })

      it('refuses a question above the limit', async () => {
        const text = 'x'.repeat(9 * 1024 ** 2)
        const asked = bus.request(questions('echo'), { text }, { timeoutMs: 5000 })
        await expect(asked).rejects.toMatchObject({ code: 'payload_too_large' })
      })
    })

    describe('records', () => {
      it('keeps the newest value of each key', async () => {
        const records = await bus.records(noteRecords)
        expect(await records.get('a')).toBeNull()
        const first = await records.put('a', { text: '1' })
        const second = await records.put('a', { text: '2' })
        await records.put('b.c', { text: '3' })
        expect(second).toBeGreaterThan(first)
        expect(await records.get('a')).toEqual({ value: { text: '2' }, revision: second })
        expect((await records.keys()).toSorted()).toEqual(['a', 'b.c'])
        await records.delete('a')
        expect(await records.get('a')).toBeNull()
        expect(await records.keys()).toEqual(['b.c'])
        await records.delete('b.c')
        expect(await records.keys()).toEqual([])
      })

      it('hands over what there is, then each change', async () => {
        const records = await bus.records({ ...noteRecords, prefix: 'watched' })
        const others = await bus.records({ ...noteRecords, prefix: 'other' })
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
        await bus.flush()
        expect(got.items).toHaveLength(5)
      })

      it('watches an empty kind', async () => {
        const records = await bus.records({ ...noteRecords, prefix: 'empty' })
        const got = collect<RecordUpdate<Note>>()
        await records.watch(got.push)
        expect(got.items).toEqual([])
        await records.put('first', { text: '1' })
        expect((await got.take(1))[0]?.key).toBe('first')
      })

      it('passes over a value that does not parse', async () => {
        problems.items.length = 0
        const loose = await bus.records({ ...noteRecords, prefix: 'loose', schema: z.unknown() })
        await loose.put('bad', 7)
        await loose.put('good', { text: '1' })
        const records = await bus.records({ ...noteRecords, prefix: 'loose' })
        const got = collect<RecordUpdate<Note>>()
        await records.watch(got.push)
        expect(got.items.map(({ key }) => key)).toEqual(['good'])
        expect(await records.get('bad')).toBeNull()
        expect(problems.items).toHaveLength(2)
      })
    })

    describe('streams', () => {
      it('stores once by id and delivers until acknowledged', async () => {
        await bus.store(usageNotes('t'), { text: '1' }, { id: 'one' })
        await bus.store(usageNotes('t'), { text: 'again' }, { id: 'one' })
        await bus.store(usageNotes('u'), { text: '2' }, { id: 'two' })
        const got = collect<string>()
        let failures = 1
        const options = { stream: 'PUNICA_USAGE', durable: 'reader', schema: Note }
        const stop = await bus.consume(options, async ({ text }) => {
          if (text === '2' && failures-- > 0) throw new Error('not now')
          got.push(text)
        })
        expect(await got.take(2)).toEqual(['1', '2'])
        stop()
        const another = collect<string>()
        await bus.consume({ ...options, durable: 'another' }, async ({ text }) =>
          another.push(text),
        )
        expect(await another.take(2)).toEqual(['1', '2'])
      })

      it('refuses what no stream keeps', async () => {
        await expect(bus.store(notes('a'), { text: '' }, { id: 'x' })).rejects.toThrow(AppError)
      })
    })

    it('delivers what is under way before it closes, and refuses afterwards', async () => {
      const own = await makeBus(() => {})
      const got = collect<string>()
      own.subscribe(notes('closing'), ({ text }) => got.push(text))
      await own.flush()
      own.publish(notes('closing'), { text: 'last' })
      await own.close()
      expect(got.items).toEqual(['last'])
      expect(() => own.publish(notes('closing'), { text: 'late' })).toThrow(
        expect.objectContaining({ code: 'unavailable' }),
      )
      await expect(
        own.request(questions('echo'), { text: '' }, { timeoutMs: 50 }),
      ).rejects.toMatchObject({ code: 'unavailable' })
    })
  })
}

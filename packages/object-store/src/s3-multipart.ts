import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandInput,
  type ListMultipartUploadsCommandOutput,
  ListPartsCommand,
  type MultipartUpload,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import type { StoredObject } from './object-store.ts'
import { orUnavailable } from './s3-failures.ts'

export type Place = { bucket: string; key: string }

type Ended = { stored: StoredObject; finish: () => Promise<void> }

/**
 * Stores parts, of which all but the last have S3's least size, as one object. `end` is called when
 * all of them are stored: where it throws, or anything before, nothing is left but what an S3 that
 * is away keeps for the sweep; what it returns is finished once the object is complete.
 */
export const writeMultipart = async (
  client: S3Client,
  { bucket, key }: Place,
  parts: AsyncIterable<Uint8Array>,
  end: () => Promise<Ended>,
): Promise<StoredObject> => {
  const object = { Bucket: bucket, Key: key }
  const created = new CreateMultipartUploadCommand(object)
  const { UploadId } = await orUnavailable(client.send(created))
  const upload = { ...object, UploadId }
  try {
    const stored: { ETag: string | undefined; PartNumber: number }[] = []
    for await (const part of parts) {
      const PartNumber = stored.length + 1
      const sent = new UploadPartCommand({ ...upload, PartNumber, Body: part })
      const { ETag } = await orUnavailable(client.send(sent))
      stored.push({ ETag, PartNumber })
    }
    const ended = await end()
    const completed = { ...upload, MultipartUpload: { Parts: stored } }
    await orUnavailable(client.send(new CompleteMultipartUploadCommand(completed)))
    await ended.finish()
    return ended.stored
  } catch (cause) {
    await client.send(new AbortMultipartUploadCommand(upload)).catch(() => {})
    throw cause
  }
}

/** Gives up those below a place to which nothing was added since `beforeMs`; returns their number. */
export const sweepMultipart = async (
  client: S3Client,
  { bucket, key: prefix }: Place,
  beforeMs: number,
): Promise<number> => {
  let numSwept = 0
  for await (const { Key, UploadId, Initiated } of listUploads(client, bucket, prefix)) {
    const upload = { Bucket: bucket, Key, UploadId }
    // Parts are numbered in the order in which they came; a writer has few enough for one page.
    const { Parts = [] } = await orUnavailable(client.send(new ListPartsCommand(upload)))
    const newest = Math.max(
      Initiated?.getTime() ?? 0,
      ...Parts.map(({ LastModified }) => LastModified?.getTime() ?? 0),
    )
    if (newest > beforeMs) continue
    await orUnavailable(client.send(new AbortMultipartUploadCommand(upload)))
    numSwept++
  }
  return numSwept
}

async function* listUploads(
  client: S3Client,
  bucket: string,
  prefix: string,
): AsyncGenerator<MultipartUpload> {
  const at = { Bucket: bucket, Prefix: prefix }
  let from: Pick<ListMultipartUploadsCommandInput, 'KeyMarker' | 'UploadIdMarker'> | null = {}
  while (from !== null) {
    const asked = new ListMultipartUploadsCommand({ ...at, ...from })
    const page: ListMultipartUploadsCommandOutput = await orUnavailable(client.send(asked))
    yield* page.Uploads ?? []
    const { NextKeyMarker, NextUploadIdMarker } = page
    const next = { KeyMarker: NextKeyMarker, UploadIdMarker: NextUploadIdMarker }
    from = page.IsTruncated === true ? next : null
  }
}

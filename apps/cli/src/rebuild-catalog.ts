import { connectAdmin } from './admin.ts'
import { environment } from './environment.ts'

export type RebuildOptions = { url: string; key?: string }

/** `punica catalog rebuild`: makes the catalog in NATS what the database says, and says what differed. */
export const rebuildCatalog = async ({ url, key }: RebuildOptions): Promise<void> => {
  const operatorKey = key ?? environment.PUNICA_KEY
  if (operatorKey === undefined) {
    throw new Error('Give an operator’s key with --key or in PUNICA_KEY')
  }
  const admin = connectAdmin({ url: url.replace(/\/+$/, ''), key: operatorKey })
  const changed = await admin.rebuildCatalog()
  console.log(changed === 0 ? 'nothing differed' : `${changed} records written anew or removed`)
}

import { memoryObjectStore } from './memory-store.ts'
import { storeContract } from './store-contract.ts'

storeContract('memoryObjectStore', async () => ({
  store: memoryObjectStore(),
  close: async () => {},
}))

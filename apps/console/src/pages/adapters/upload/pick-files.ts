/** The two files of a PEFT folder. */
export type PeftFiles = { config: File; weights: File; folderName: string | null }

export const configName = 'adapter_config.json'
export const weightsName = 'adapter_model.safetensors'

/** Finds the two files among what was chosen or dropped, or says in words which is missing. */
export const pickFiles = (files: readonly File[]): PeftFiles | string => {
  const named = (name: string): File | undefined => files.find((file) => file.name === name)
  const [config, weights] = [named(configName), named(weightsName)]
  if (config !== undefined && weights !== undefined) {
    return { config, weights, folderName: folderOf(config) }
  }
  if (files.some(({ name }) => name === 'adapter_model.bin')) {
    return `adapter_model.bin is a pickle, which can run code when it is read. Save the adapter with safe_serialization=True, which makes ${weightsName}.`
  }
  const missing = [config === undefined ? configName : '', weights === undefined ? weightsName : '']
  return `There is no ${missing.filter((name) => name !== '').join(' and no ')} here. Choose the folder that PEFT's save_pretrained has written.`
}

const folderOf = ({ webkitRelativePath }: File): string | null =>
  webkitRelativePath.split('/').at(-2) ?? null

/** How deep a dropped folder is looked through, and how many files of it. */
const maxDepth = 2
const maxFiles = 200

/** The files that were dropped, those inside folders too. */
export const readDropped = async (transfer: DataTransfer): Promise<File[]> => {
  const entries = [...transfer.items].flatMap((item) => item.webkitGetAsEntry() ?? [])
  if (entries.length === 0) return [...transfer.files]
  const files: File[] = []
  const visit = async (entry: FileSystemEntry, depth: number): Promise<void> => {
    if (files.length >= maxFiles) return
    if (isFile(entry)) files.push(await readFile(entry))
    else if (isFolder(entry) && depth < maxDepth) {
      for (const child of await readFolder(entry)) await visit(child, depth + 1)
    }
  }
  for (const entry of entries) await visit(entry, 0)
  return files
}

const isFile = (entry: FileSystemEntry): entry is FileSystemFileEntry => entry.isFile
const isFolder = (entry: FileSystemEntry): entry is FileSystemDirectoryEntry => entry.isDirectory

const readFile = (entry: FileSystemFileEntry): Promise<File> =>
  new Promise((resolve, reject) => entry.file(resolve, reject))

/** A reader answers at most a hundred entries at a time, then none. */
const readFolder = async (folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> => {
  const reader = folder.createReader()
  const all: FileSystemEntry[] = []
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    )
    if (some.length === 0 || all.length >= maxFiles) return all
    all.push(...some)
  }
}

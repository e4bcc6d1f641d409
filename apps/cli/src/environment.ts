/** What this process was started with. The cli is no service, so it reads its settings here. */
export const environment: Readonly<Record<string, string | undefined>> = process.env

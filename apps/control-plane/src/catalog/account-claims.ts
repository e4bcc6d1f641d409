import { type AccountClaims, accountOf, connectAccountClaims } from '@punica/bus'
import type { Logger } from '@punica/service'

type Settings = {
  natsUrl: string
  natsAccountSeed?: string | undefined
  natsOperatorSeed?: string | undefined
  natsSystemCreds?: string | undefined
}

/** The way to revoke NATS credentials, or null where the settings do not give the means. */
export const openAccountClaims = async (
  { natsUrl, natsAccountSeed, natsOperatorSeed, natsSystemCreds }: Settings,
  log: Logger,
): Promise<AccountClaims | null> =>
  natsAccountSeed === undefined || natsOperatorSeed === undefined
    ? null
    : connectAccountClaims({
        url: natsUrl,
        name: 'control-plane-system',
        credentialsFile: natsSystemCreds,
        account: accountOf(natsAccountSeed),
        operatorSeed: natsOperatorSeed,
        log,
      })

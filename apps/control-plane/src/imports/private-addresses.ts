import { type LookupAddress, lookup } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { AppError } from '@punica/schema'

/** Networks that are not the public internet (IANA special-purpose registries), as [net, prefix]. */
const ipv4 = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const
/** Those that carry an IPv4 address are among them, whichever it is. */
const ipv6 = [
  ['::', 96],
  ['::ffff:0:0', 96],
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['100::', 64],
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
] as const

// One list each: to a list of both, every IPv4 address lies in ::ffff:0:0/96, too.
const blocked4 = new BlockList()
const blocked6 = new BlockList()
for (const [net, prefix] of ipv4) blocked4.addSubnet(net, prefix, 'ipv4')
for (const [net, prefix] of ipv6) blocked6.addSubnet(net, prefix, 'ipv6')

export const isPrivateAddress = (address: string): boolean =>
  isIP(address) === 6 ? blocked6.check(address, 'ipv6') : blocked4.check(address, 'ipv4')

/**
 * Looks a name up as Node does and refuses it where any of its addresses is private. The connection
 * is made to the very addresses that were looked at, so a name cannot change between.
 */
export const publicLookup: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
    const [first] = addresses ?? []
    if (error !== null || first === undefined) {
      callback(error ?? new Error(`${hostname} has no address`), '', 0)
    } else if (addresses.some(({ address }) => isPrivateAddress(address))) {
      callback(privateHost(hostname), '', 0)
    } else if (options.all === true) {
      callback(null, addresses)
    } else {
      callback(null, first.address, first.family)
    }
  })
}

export const privateHost = (host: string): AppError =>
  new AppError('forbidden', `url: ${host} has a private address, which is not fetched from`, {
    param: 'url',
  })

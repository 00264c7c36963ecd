/**
 * What the page and its worker say to each other. The worker does all cryptography and all reading of
 * untrusted formats; what it answers is plain data that was verified, or why it was not.
 */
import type { Change } from '@dslog/verify/describe'

/** What the person in front of the page has decided to trust. */
export interface Trust {
  /** tlog-policy text. */
  readonly policy: string
  /** `log`: taken from the log at the first visit; `you`: given by the person. */
  readonly policyFrom: 'log' | 'you'
  /** ms: when the policy was taken or given. */
  readonly since: number
  /** An anchors file; the root's where there is none. */
  readonly anchors?: string | undefined
  /** The newest checkpoint this browser has verified, a signed note. */
  readonly seen?: string | undefined
}

/** What can be asked. `log` is a URL without a slash at its end. */
export type Task =
  | { readonly task: 'name'; readonly log: string; readonly name: string; readonly trust: Trust }
  | { readonly task: 'zone'; readonly log: string; readonly name: string; readonly trust: Trust }
  | { readonly task: 'entry'; readonly log: string; readonly index: number; readonly trust: Trust }
  /** The newest checkpoint; with `view`, whether its tree begins with the tree that a monitor verified. */
  | {
      readonly task: 'checkpoint'
      readonly log: string
      readonly trust: Trust
      readonly view?: { readonly size: number; readonly root: string } | undefined
    }
  /** A proof file, by what is trusted of the logs known here, by origin. No request leaves the browser. */
  | {
      readonly task: 'file'
      readonly file: Uint8Array
      readonly trusts: Readonly<Record<string, Trust>>
    }
  /** Whether a text is a policy, and what it says. */
  | { readonly task: 'policy'; readonly text: string }
  /** Whether a text is an anchors file. */
  | { readonly task: 'anchors'; readonly text: string }
  /** Which DS records pins of a name allow: `DS …` or `DNSKEY …` in presentation form. */
  | { readonly task: 'pins'; readonly name: string; readonly pins: readonly string[] }

/** The steps of a verification, in their order. */
export type StepId = 'answer' | 'checkpoint' | 'map' | 'evidence' | 'past' | 'monitor'

/** A step that was verified, in words. `more`: it is told again when the next part of it is done. */
export interface Step {
  readonly id: StepId
  readonly words: string
  readonly more?: boolean
}

/** The tree that something was proven in. */
export interface TreeModel {
  readonly origin: string
  readonly size: number
  /** base64 */
  readonly root: string
  /** The signed note. */
  readonly note: string
  readonly keyId: string
  /** Name and time, ms, of each witness of the policy that cosigned. */
  readonly witnesses: readonly { readonly name: string; readonly time: number }[]
  /** Name of the witness or group that the policy asks for. */
  readonly quorum: string | undefined
  /** ms: when the tree was closed, by its MAP_HEAD; where that was proven. */
  readonly time?: number
}

/** A DNSKEY of a set. */
export interface KeyModel {
  readonly tag: number
  readonly flags: number
  readonly algorithm: number
}

/** Keys of one zone in the chain that an entry hangs from. */
export interface LinkModel {
  readonly index: number
  readonly zone: string
  readonly keys: readonly KeyModel[]
  /** Tag of the key that signed the set. */
  readonly signer: number
  /** Tag of the trust anchor; the root's set only. */
  readonly anchor?: number
}

/** A proven entry. Times are ms. */
export interface EntryModel {
  readonly index: number
  readonly type: 'ds' | 'no-ds' | 'zone-keys' | 'map-head' | 'unknown'
  /** The leaf in base64. */
  readonly raw: string
  /** Its records in presentation form, signatures included. */
  readonly records: readonly string[]
  readonly time?: number
  /** Owner of the delegation, or the zone whose keys these are. */
  readonly name?: string
  /** The zone that signed. */
  readonly zone?: string
  readonly historical?: boolean
  readonly outOfOrder?: boolean
  /** DS records in presentation form. */
  readonly ds?: readonly string[]
  readonly change?: Change
  /** How the absence was proven. */
  readonly absence?: string
  /** Window of the deciding signature. */
  readonly inception?: number
  readonly expiration?: number
  /** Tag of the key that made it. */
  readonly signer?: number
  /** The keys it hangs from, nearest first. */
  readonly chain?: readonly LinkModel[]
  readonly keys?: readonly KeyModel[]
  readonly keyCount?: number
}

/** What was proven. */
export interface Proven {
  readonly kind: 'name' | 'zone' | 'entry' | 'checkpoint'
  readonly tree: TreeModel
  readonly entries: readonly EntryModel[]
  readonly name?: string
  /** What is trusted: for a file, that of its log. */
  readonly trust: Trust
  /** Size of the tree, seen before, that this one was shown to continue. */
  readonly continues?: number
  /** The proof file. */
  readonly file?: Uint8Array
  /** Milliseconds from the request to the verdict. */
  readonly took: number
}

/** What a policy says. */
export interface PolicyModel {
  readonly logs: readonly { readonly origin: string; readonly keyId: string }[]
  readonly witnesses: readonly string[]
  readonly quorum: string | undefined
}

/** A text that was checked. */
export type Checked =
  | { readonly policy: PolicyModel }
  | { readonly anchors: readonly number[] }
  /** DS records in presentation form. */
  | { readonly allowed: readonly string[] }

/** Why there is no proof. */
export interface Failure {
  /** `unreachable`: nothing was shown, or only what is old; `refused`: it does not verify; `caught`: the log contradicts itself. */
  readonly kind: 'unreachable' | 'refused' | 'caught' | 'input' | 'bug'
  /** In plain words. */
  readonly words: string
  /** As the code says it. */
  readonly detail: string
  /** Evidence to keep: names of files and what is in them. */
  readonly evidence?: readonly { readonly name: string; readonly text: string }[]
}

/** From the page. */
export interface Request {
  readonly id: number
  readonly task: Task
}

/** From the worker; steps, then one of the others. */
export type Reply =
  | { readonly id: number; readonly step: Step }
  | { readonly id: number; readonly proven: Proven }
  | { readonly id: number; readonly checked: Checked }
  | { readonly id: number; readonly failure: Failure }

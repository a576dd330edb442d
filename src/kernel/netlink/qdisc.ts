// The token bucket filter as a link's root qdisc (RTM_NEWQDISC, sch_tbf; linux/pkt_sched.h).
import type { LinkRate } from '../kernel.ts';
import type { Encoded } from './link.ts';
import { type MessageWriter, NLM } from './message.ts';

const RTM_NEWQDISC = 36;
const TCA = { KIND: 1, OPTIONS: 2 } as const;
const TBF = { PARMS: 1, RATE64: 4, PRATE64: 5, BURST: 6, PBURST: 7 } as const;
const ROOT = 0xffff_ffff;
const LINKLAYER_ETHERNET = 1;
/** Packets wait for tokens so long at most, as with Calico and the bandwidth plugin. */
const LATENCY_SECONDS = 0.025;
const UINT32_MAX = 0xffff_ffff;

const clamped = (value: number): number => Math.min(Math.ceil(value), UINT32_MAX);

/** struct tc_ratespec: its table is not needed where the link layer is named. */
const rateSpec = (w: MessageWriter, bytesPerSecond: number): MessageWriter =>
  w.u8(0).u8(LINKLAYER_ETHERNET).u16(0).u16(0).u16(0).u32(clamped(bytesPerSecond));

const attribute64 = (w: MessageWriter, type: number, value: number): void => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(Math.ceil(value)));
  w.attribute(type, bytes);
};

export const encodeShapeLink =
  ({ index, bytesPerSecond, burstBytes, peak }: LinkRate & { readonly index: number }): Encoded =>
  (w, sequence) =>
    void w.message(RTM_NEWQDISC, NLM.REQUEST | NLM.ACK | NLM.CREATE | NLM.REPLACE, sequence, () => {
      w.u8(0).u8(0).u16(0).u32(index).u32(0).u32(ROOT).u32(0);
      w.attributeText(TCA.KIND, 'tbf').nested(TCA.OPTIONS, () => {
        w.u16(4 + 36).u16(TBF.PARMS);
        rateSpec(w, bytesPerSecond);
        rateSpec(w, peak?.bytesPerSecond ?? 0);
        // Limit of the queue; buffer and mtu follow from the bursts.
        w.u32(clamped(bytesPerSecond * LATENCY_SECONDS + burstBytes))
          .u32(0)
          .u32(0);
        attribute64(w, TBF.RATE64, bytesPerSecond);
        w.attribute32(TBF.BURST, clamped(burstBytes));
        if (!peak) return;
        attribute64(w, TBF.PRATE64, peak.bytesPerSecond);
        w.attribute32(TBF.PBURST, clamped(peak.burstBytes));
      });
    });

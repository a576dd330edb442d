// Files of a node that differ from kind's own, since its host may have fewer rights than most: no
// CAP_SYS_RESOURCE (nobody may lower oom_score_adj or raise a hard limit), and sysctls of the whole
// machine that a node must not change.

const SYSTEM = 'etc/systemd/system';

/** The kubelet wants these for the whole machine; it gets files that say so. */
const KUBELET_SYSCTLS: Readonly<Record<string, number>> = {
  'vm/overcommit_memory': 1,
  'vm/panic_on_oom': 0,
  'kernel/panic': 10,
  'kernel/panic_on_oops': 1,
  'kernel/keys/root_maxkeys': 1_000_000,
  'kernel/keys/root_maxbytes': 25_000_000,
};

const shield = Object.entries(KUBELET_SYSCTLS)
  .map(([path, value]) => {
    const file = `/run/sysctls/${path.replaceAll('/', '.')}`;
    return `[ -e ${file} ] || { echo ${value} >${file}; mount --bind ${file} /proc/sys/${path}; }`;
  })
  .join('; ');

/** Path in the root -> text. */
export const UNITS: Readonly<Record<string, string>> = {
  [`${SYSTEM}/containerd.service.d/10-limits.conf`]: `[Service]
OOMScoreAdjust=0
LimitNPROC=
LimitCORE=
LimitNOFILE=
`,
  [`${SYSTEM}/containerd.service.d/20-images.conf`]: `[Service]
ExecStartPost=/bin/sh -c "for image in /kind/images/*.tar; do ctr -n k8s.io images import $image; done"
TimeoutStartSec=300
`,
  [`${SYSTEM}/kubelet.service.d/30-sysctls.conf`]: `[Service]
ExecStartPre=/bin/sh -c 'mkdir -p /run/sysctls; ${shield}'
ExecStartPre=/bin/sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
OOMScoreAdjust=0
`,
  'kind/manifests/default-storage.yaml': `apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: standard}
provisioner: kubernetes.io/no-provisioner
`,
  'kind/manifests/default-cni.yaml': '',
};

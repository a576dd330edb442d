// The constructs as others use them: imported, extended, read both ways.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiObject, App, type Chart, JsonPatch } from 'cdk8s';
import type { Construct } from 'constructs';
import { schemaPart } from '../model/settings/schema.ts';
import { printTemplate } from './helm/template.ts';
import {
  Calico,
  choose,
  defaults,
  Expr,
  eq,
  expressions,
  Marks,
  objectOf,
  type Settings,
  settingsFrom,
  str,
  sub,
  type Values,
  when,
} from './index.ts';

// A chart of someone else's that adds one object to ours.
class Extended extends Calico {
  constructor(scope: Construct, settings: Settings) {
    super(scope, 'extended', settings);
    const { mtu, settings: network } = settings.networking;
    new ApiObject(this, 'extra', {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'extra' },
      data: {
        mtu: str(choose(eq(network.ippool.ipip.mode, 'Never'), mtu, sub(mtu, 20))),
        both: `${settings.networking.podSubnet} as ${settings.networking.bgp.asnumber}`,
        braces: 'literal {{ braces }}: "q" & <x>\n',
        tunnel: when(eq(network.ippool.ipip.mode, 'Never'), 'no', 'yes'),
      },
    });
  }
}

const extraOf = (chart: Chart): ApiObject => {
  const found = chart.node.findAll().find((node) => node.node.id === 'extra');
  assert.ok(found && ApiObject.isApiObject(found));
  return found;
};

test("a construct of one's own is added to ours, with values", () => {
  const settings = settingsFrom({ networking: { mtu: 9000, bgp: { asnumber: 4200000000 } } });
  assert.ok(settings.ok);
  const chart = new Extended(new App(), settings.value);
  assert.ok(chart.toJson().length > 10);
  assert.deepEqual(extraOf(chart).toJson().data, {
    mtu: '8980',
    both: '192.168.0.0/16 as 4200000000',
    braces: 'literal {{ braces }}: "q" & <x>\n',
    tunnel: 'yes',
  });
});

test('and as a template', () => {
  const app = new App({ resolvers: [new Marks()] });
  const object = extraOf(new Extended(app, expressions<Values>(schemaPart)));
  const mode = '(eq $.Values.networking.settings.ippool.ipip.mode "Never")';
  const mtu = '(int64 $.Values.networking.mtu)';
  const both = '$.Values.networking.podSubnet " as " (int64 $.Values.networking.bgp.asnumber)';
  assert.equal(
    printTemplate(object.toJson(), ['$.Values.etcd.enabled']),
    `{{- if $.Values.etcd.enabled }}
apiVersion: "v1"
kind: "ConfigMap"
metadata:
  name: "extra"
data:
  both: {{ printf "%v%v%v" ${both} | toJson }}
  braces: "literal {{"{{"}} braces }}: \\"q\\" & <x>\\n"
  mtu: {{ (toString (ternary ${mtu} (sub ${mtu} 20) ${mode})) | toJson }}
  {{- if ${mode} }}
  tunnel: "no"
  {{- else }}
  tunnel: "yes"
  {{- end }}
{{- end }}
`,
  );
});

test('an expression cannot be mistaken for a value', () => {
  const { networking } = expressions<Values>(schemaPart);
  // @ts-expect-error: the setting may be an expression, which has no arithmetic
  assert.throws(() => networking.mtu - 20, /has no value yet/);
  assert.ok(networking.mtu instanceof Expr);
});

test('an object is found by kind and name, to be patched', () => {
  const chart = new Calico(new App(), 'calico', defaults());
  const node = objectOf(chart, 'DaemonSet', 'calico-node');
  node.addJsonPatch(JsonPatch.add('/spec/minReadySeconds', 5));
  assert.equal(node.toJson().spec.minReadySeconds, 5);
  assert.throws(
    () => objectOf(chart, 'DaemonSet', 'calico'),
    /no DaemonSet calico here; there are/,
  );
});

test('misspelt settings do not compile', () => {
  // @ts-expect-error: no such setting
  assert.equal(defaults().networking.mtuu, undefined);
  // @ts-expect-error: no such mode
  eq(defaults().networking.settings.ippool.ipip.mode, 'always');
});

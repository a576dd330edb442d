// What runs in the guest: each file's tests, one after the other, as node:test prints them.
import './guard.ts';
import './ipip.ts';
import './vxlan.ts';

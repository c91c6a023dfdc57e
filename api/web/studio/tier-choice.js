/** The choice of the queue tier: when the job has its turn. */

import { call } from "../common/api.js";
import { h, setText } from "../common/dom.js";
import { tierName } from "../common/format.js";
import { createCards } from "./artist-controls.js";

const FIRST = "It starts before all others that wait.";
const BETWEEN = "It waits its turn.";
const LAST = "It starts when nothing else waits, such as overnight.";

export class TierChoice {
  /** Without the queue's tiers there is no choice: jobs go to the default tier. */
  static async load(onChange) {
    const { tiers } = await call("/v1/queue", { tries: 4 }).catch(() => ({ tiers: [] }));
    return new TierChoice(tiers, onChange);
  }

  /** `tiers` are in the order in which workers serve them. */
  constructor(tiers, onChange) {
    const names = tiers.map(({ name }) => name);
    const help = h("small.muted", { id: "control-tier-help" });
    const options = names.map((name) => [name, h("span", {}, tierName(name))]);
    const { node, show } = createCards("tier", "When", help, options, (name) => (this.set(name), onChange()));
    Object.assign(this, { names, node, show, help });
    node.hidden = names.length < 2;
    this.set(tiers.find((tier) => tier.default)?.name);
  }

  /** Choose a tier. One that does not exist, such as an older job's, changes nothing. */
  set(name) {
    const place = this.names.indexOf(name);
    if (place < 0) return;
    this.chosen = name;
    this.show(name);
    setText(this.help, place === 0 ? FIRST : place === this.names.length - 1 ? LAST : BETWEEN);
  }

  fillForm(form) {
    if (this.chosen) form.append("tier", this.chosen);
  }
}

// The page of what is live: three parts that share nothing but the key.

import { $ } from "./dom.js";
import { keyField } from "./key.js";
import { liveWatch } from "./live.js";
import { formLookup } from "./lookup.js";
import { whatIf } from "./whatif.js";

const askForKey = keyField(() => parts.forEach((part) => part.again()));
const trial = whatIf(askForKey);
const lookup = formLookup((form) => {
  trial.start(form);
  $("try").scrollIntoView();
  $("filter").focus({ preventScroll: true });
}, askForKey);
const parts = [liveWatch(askForKey), lookup, trial];

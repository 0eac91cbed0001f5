// Sends the platform's form at once; without this the payer uses its button.
"use strict";
document.querySelector("#form form").submit();

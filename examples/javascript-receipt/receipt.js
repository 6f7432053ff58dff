// Prints the receipt of a shopping cart: JSON in the variable CART, the customer as argument.

import { getArguments, getEnvironment } from "wasi:cli/environment@0.2.0";

const WIDTH = 32;
const money = (cents) => (cents / 100).toFixed(2);
const line = (left, right) => left + right.padStart(WIDTH - left.length);

/** One of three of the same costs nothing. */
const free = ({ quantity, cents }) => Math.floor(quantity / 3) * cents;

function receipt(customer, cart) {
  const lines = cart.flatMap((item) => {
    const price = line(`${item.quantity} x ${item.name}`, money(item.quantity * item.cents));
    return free(item) ? [price, line("  3 for 2", `-${money(free(item))}`)] : [price];
  });
  const total = cart.reduce((sum, item) => sum + item.quantity * item.cents - free(item), 0);
  return [`Receipt for ${customer}`, ...lines, line("Total", money(total))].join("\n");
}

export const run = {
  run() {
    try {
      const [, customer = "you"] = getArguments();
      const { CART = "[]" } = Object.fromEntries(getEnvironment());
      console.log(receipt(customer, JSON.parse(CART)));
    } catch (error) {
      console.error(`receipt: ${error}`);
      throw error; // fails the command, which says no more than that
    }
  },
};

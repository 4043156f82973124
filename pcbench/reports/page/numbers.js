// Numbers as the rest of pcbench prints them: fixed decimals, a tie to the even digit, the sign of a minus, no signed zero.
const decimal = (value, digits) => {
  if (value === null) return "not defined";
  let text = value.toFixed(digits);
  const halves = value * 2 ** (digits + 1);
  if (Number.isInteger(halves) && halves % 2 !== 0 && Number.parseInt(text.at(-1), 10) % 2 !== 0) {
    // Exactly between two texts, of which `toFixed` takes the one farther up.
    const step = 10 ** -digits;
    text = (Number(text) === value ? value : Number(text) > value ? Number(text) - step : Number(text) + step).toFixed(digits);
  }
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
};
const plus = (text) => (/[1-9]/.test(text) ? `+${text}` : text);

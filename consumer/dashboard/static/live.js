// Shows a line of text that changes several times a second, without an update of the whole page.
export default {
  template: `<div>{{ text }}</div>`,
  data() {
    return { text: "" };
  },
  methods: {
    // The server calls this with a new text.
    show(text) {
      this.text = text;
    },
  },
};

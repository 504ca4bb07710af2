// A line of text that changes several times a second, without an update of the whole page.
export default {
  template: `<div>{{ text }}</div>`,
  data() {
    return { text: "" };
  },
  methods: {
    // Called by the server.
    show(text) {
      this.text = text;
    },
  },
};

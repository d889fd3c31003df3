// A program that is nothing but the library it is linked with.
int main() {
  return 0;
}
